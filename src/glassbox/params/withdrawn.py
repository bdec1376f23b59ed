"""Who is withdrawn from a source: a list in conf/, which a section of params.yaml repeats for the catalog."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator

from glassbox.files import write_text
from glassbox.params import erased
from glassbox.params.read import ParamsError, parse
from glassbox.paths import PARAMS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

#: One file a source, in git.
LISTS = Path("conf/withdrawn")


def _is_a_line(patient: str) -> str:
    if not patient or not patient.isprintable() or patient != patient.strip():
        raise ValueError("no patient's id: it is empty, or has control characters, or spaces around it")
    if patient.startswith(erased.PREFIX) and not erased.is_digest(patient):
        raise ValueError(f"no patient's id, nor {erased.PREFIX!r} and 64 hexadecimal digits")
    return patient


def _are_different(patients: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(patients)) < len(patients):
        raise ValueError("a patient is named twice")
    return patients


#: The patients of a source whose images are left out of its catalog. The archive need not have them.
Withdrawn = Annotated[tuple[Annotated[str, AfterValidator(_is_a_line)], ...], AfterValidator(_are_different)]


def path(source: str) -> Path:
    """Where the list of a source lies; no file where nobody was ever withdrawn.

    One id a line, or in its place the digest of who was erased (`erased.digest`); sorted, UTF-8.
    """
    return LISTS / f"{source}.txt"


def read(source: str) -> list[str]:
    """The lines of the list of a source, sorted: ids, and digests of who was erased.

    Raises:
        ParamsError: A line is no id, or one that stands there already; its number is named.
    """
    try:
        text = path(source).read_bytes().decode()
    except FileNotFoundError:
        return []
    except UnicodeDecodeError as error:
        raise _refusal(f"{path(source)} is no UTF-8: byte {error.start}") from None
    first: dict[str, int] = {}
    for number, line in enumerate(text.removesuffix("\n").split("\n") if text else [], 1):
        place = f"{path(source)}, line {number}: {line!r}"
        try:
            _is_a_line(line)
        except ValueError as error:
            raise _refusal(f"{place} is {error}") from None
        if first.setdefault(line, number) != number:
            raise _refusal(f"{place} stands in line {first[line]} already")
    return sorted(first)


def _refusal(found: str) -> ParamsError:
    return ParamsError(found, "one patient's id a line, each once", "mend the file")


def write(source: str, patients: Collection[str]) -> None:
    """Writes the list of a source.

    Raises:
        ParamsError: An id cannot be a line of it.
    """
    parse(tuple(patients), Withdrawn, str(path(source)))
    write_text(path(source), "".join(f"{patient}\n" for patient in sorted(patients)))


def section(sources: Iterable[str]) -> dict[str, list[str]]:
    """The section `withdrawn` of params.yaml: every source has an entry, so that DVC can compare it.

    Raises:
        ParamsError: A list cannot be read.
    """
    return {source: read(source) for source in sources}


def refuse_other(found: Mapping[str, Collection[str]], sources: Iterable[str]) -> None:
    """Refuses a section that does not say what the lists say: whoever it lacks would be trained on.

    Raises:
        ParamsError: It does not, or a list cannot be read.
    """
    wanted = section(sources)
    differ = [key for key in {**wanted, **found} if key not in found or sorted(found[key]) != wanted.get(key)]
    if differ:
        said = [f"{PARAMS}: withdrawn.{key} {_differs(key, found, wanted)}" for key in differ]
        raise ParamsError(
            "\n  ".join(said),
            f"an entry for each source, with the patients of its list in {LISTS}/",
            f"compose {PARAMS} anew with `glassbox use PROFILE`, or bring this section alone up to date: "
            "`glassbox withdraw` with a patient who is on the list already",
        )


def _differs(key: str, found: Mapping[str, object], wanted: Mapping[str, object]) -> str:
    if key not in wanted:
        return "is of no source"
    return f"does not say what {path(key)} says" if key in found else "is missing"
