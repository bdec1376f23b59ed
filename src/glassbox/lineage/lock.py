"""dvc.lock: what every stage read and wrote, by its MD5, and which stages an output rests on."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import pydantic
import yaml
from pydantic import AfterValidator, Field, NonNegativeInt, model_validator

from glassbox.errors import GlassboxError
from glassbox.params.base import Frozen

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "dvc.lock"
#: What the MD5 of a folder ends with: it is of the list of its files.
FOLDER = ".dir"


class LineageError(GlassboxError):
    """What made a model cannot be followed: a file of DVC's, of git's or of MLflow's is missing or damaged."""


def _inside(path: str) -> str:
    if path.startswith("/") or "\\" in path or "\0" in path or set(path.split("/")) & {"", ".", ".."}:
        raise ValueError(f"{path!r} is no path inside the project")
    return path


class Tracked(Frozen):
    """A file or folder that a stage read or wrote."""

    #: From the project's root, with slashes; never out of it.
    path: Annotated[str, AfterValidator(_inside)]
    hash: Literal["md5"]
    #: In hexadecimal; of a folder it ends in `.dir`.
    md5: Annotated[str, Field(pattern=r"^[0-9a-f]{32}(\.dir)?$")]
    #: In bytes, of a folder of all its files.
    size: NonNegativeInt
    #: Files in a folder; None for a file.
    nfiles: NonNegativeInt | None = None

    @property
    def is_folder(self) -> bool:
        """Whether it is one."""
        return self.md5.endswith(FOLDER)


class Entry(Frozen):
    """One stage, as it last ran."""

    cmd: str
    deps: tuple[Tracked, ...] = ()
    #: File -> dotted key -> value.
    params: dict[str, dict[str, Any]] = Field(default={})
    outs: tuple[Tracked, ...] = ()


class Lock(Frozen):
    """All stages, by name: `fine_tune@infiltration_vgg16`."""

    schema_: Annotated[Literal["2.0"], Field(alias="schema")]
    stages: dict[str, Entry]

    @model_validator(mode="after")
    def _outputs_lie_apart(self) -> Self:
        paths = sorted(f"{out.path}/" for entry in self.stages.values() for out in entry.outs)
        for one, following in pairwise(paths):
            if following.startswith(one):
                raise ValueError(f"two stages wrote {one[:-1]}, or one of them into it: {following[:-1]}")
        return self

    def producer(self, path: str) -> str | None:
        """The stage that wrote a path, or a folder that it lies in; None where none did."""
        return next(
            (
                name
                for name, entry in self.stages.items()
                for out in entry.outs
                if path == out.path or path.startswith(f"{out.path}/")
            ),
            None,
        )

    def holding(self, md5: str) -> Iterator[tuple[str, Tracked]]:
        """The stages that wrote a file with this MD5, and what each wrote."""
        for name, entry in self.stages.items():
            for out in entry.outs:
                if out.md5 == md5:
                    yield name, out

    def chain(self, stage: str) -> list[str]:
        """A stage and all that it rests on, each after those that it reads from."""
        found: list[str] = []

        def visit(name: str, above: tuple[str, ...]) -> None:
            if name in found:
                return
            if name in above:
                raise LineageError(
                    f"{NAME}: stage {name} rests on itself", "stages in the order they ran", "run `dvc repro`"
                )
            for dependency in self.stages[name].deps:
                if before := self.producer(dependency.path):
                    visit(before, (*above, name))
            found.append(name)

        visit(stage, ())
        return found


def parse(content: bytes, place: str) -> Lock:
    """The lock of a revision.

    Args:
        content: Of its dvc.lock.
        place: Which revision it is, for messages.

    Raises:
        LineageError: It is no lock that DVC 3 wrote.
    """
    try:
        return Lock.model_validate(yaml.load(content, yaml.CSafeLoader))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        if isinstance(error, pydantic.ValidationError):
            first = error.errors()[0]
            said = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        else:
            said = " ".join(str(error).split())
        raise LineageError(
            f"{NAME} of {place} cannot be read: {said}", "the file as DVC wrote it", f"run `git checkout {NAME}`"
        ) from None
