"""The archive that an erasure left of a source, and which blocks of parameters it takes the place of."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

import yaml

from glassbox.files import write_text
from glassbox.params import erased, withdrawn
from glassbox.params.base import Frozen, Sha256
from glassbox.params.read import ParamsError, parse
from glassbox.params.sources import AnySource, ArchiveSource

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

_HEADER = "# What `glassbox withdraw --erase` left of the source: its archive, and whose place that takes.\n"
#: Of a block, what says nothing of which films it means.
_OF_A_PROFILE = {"path", "missing_share", "unlisted_share"}


class Place(Frozen):
    """Where the archive lies, and which it is."""

    path: Path
    sha256: Sha256


class Cut(Frozen):
    """What an erasure keeps of a source, in git."""

    archive: Place
    #: Of the key, so that another one is noticed.
    key_sha256: Sha256
    #: What `identity` gives of the blocks.
    replaces: tuple[dict[str, Any], ...]


def path(source: str) -> Path:
    """Where it lies; no file where nobody was erased."""
    return withdrawn.LISTS / f"{source}.archive.yaml"


def read(source: str) -> Cut | None:
    """What an erasure left of a source.

    Raises:
        ParamsError: The file cannot be read, or holds something else.
    """
    try:
        found = yaml.load(path(source).read_bytes(), yaml.CSafeLoader)
    except FileNotFoundError:
        return None
    except (OSError, yaml.YAMLError) as error:
        raise ParamsError(
            f"{path(source)} cannot be read: {error}",
            "what the erasure wrote",
            f"run `git checkout {path(source)}`",
        ) from None
    cut: Cut = parse(found, Cut, str(path(source)))
    return cut


def write(source: str, cut: Cut) -> None:
    """Writes it."""
    write_text(path(source), _HEADER + yaml.safe_dump(cut.model_dump(mode="json"), sort_keys=False, width=100))


def key_sha256(key: bytes) -> str:
    """What is said of a key in git: of 32 random bytes it gives nothing away."""
    return hashlib.sha256(key).hexdigest()


def identity(settings: AnySource) -> dict[str, Any]:
    """What says which films a source means: its block but for shares, and for where on this machine a zip lies."""
    return settings.model_dump(mode="json", exclude=_OF_A_PROFILE)


def in_place_of(settings: AnySource, archive: Place) -> dict[str, Any]:
    """The block of the archive, with layout and shares of the one that it takes the place of."""
    shares = settings.model_dump(mode="json", include={"layout", "missing_share", "unlisted_share"})
    return {"kind": "archive", **shares, **archive.model_dump(mode="json")}


def in_its_place(source: str, block: Any) -> Any:
    """The block of a source as a profile composes it, or that of the archive which takes its place.

    Raises:
        ParamsError: The record of the erasure cannot be read.
    """
    if not (cut := read(source)):
        return block
    try:
        settings = parse(block, AnySource, source)
    except ParamsError:
        return block  # whoever checks all parameters says what is wrong
    return in_place_of(settings, cut.archive) if identity(settings) in cut.replaces else block


def said(source: str, settings: AnySource) -> list[str]:
    """What is to be said where parameters name a source of which somebody was erased."""
    if not (cut := read(source)):
        return []
    if is_cut(settings, cut):
        return [f"sources.{source} is the archive that an erasure left: {settings.path} ({path(source)})"]
    other = f"sources.{source} is another archive than the one that somebody was erased from ({path(source)})"
    return [f"{other}: it stays, and needs {erased.KEY} to leave them out"]


def is_cut(settings: AnySource, cut: Cut) -> TypeGuard[ArchiveSource]:
    """Whether a source is the archive that the erasure left."""
    return isinstance(settings, ArchiveSource) and settings.sha256 == cut.archive.sha256


def refuse(source: str, settings: AnySource, listed: Collection[str]) -> None:
    """Refuses a source of which somebody was erased where nobody can tell whether its archive holds them.

    Args:
        source: Its key.
        settings: Its parameters.
        listed: Lines of its list: ids and digests.

    Raises:
        ParamsError: The key of the digests is another one, or neither is it at hand nor the archive the one that
            the erasure left.
    """
    if not any(map(erased.is_digest, listed)):
        return
    cut = read(source)
    if not cut:
        raise ParamsError(
            f"{withdrawn.path(source)} has digests of who was erased, and {path(source)} is not there",
            "both, as the erasure wrote them",
            f"bring it back with `git checkout -- {withdrawn.LISTS}`",
        )
    key = erased.read_key()
    if key and key_sha256(key) != cut.key_sha256:
        raise ParamsError(
            f"{erased.KEY} is another key than the one with which patients of {source} were erased",
            f"the key of SHA-256 {cut.key_sha256}",
            "bring that one from whoever erased them, or move this one away: the archive without them needs none",
        )
    if not key and not is_cut(settings, cut):
        raise ParamsError(
            f"sources.{source}: patients were erased, and whether this archive holds them cannot be told here: "
            f"{erased.KEY} is not there",
            f"the archive of SHA-256 {cut.archive.sha256}, or the key",
            f"take the archive that {path(source)} names, with `glassbox use PROFILE`; or bring the key from "
            "whoever erased them",
        )


def refuse_new_key() -> None:
    """Refuses where a key would be drawn although there was one: of whom it erased, nobody could tell any more.

    Raises:
        ParamsError: Patients of some source were erased, with a key that is not at hand.
    """
    key = erased.read_key()
    for place in sorted(withdrawn.LISTS.glob("*.archive.yaml")):
        cut = read(place.name.removesuffix(".archive.yaml"))
        if cut and (not key or key_sha256(key) != cut.key_sha256):
            raise ParamsError(
                f"{erased.KEY} {'is another key than' if key else 'is not there:'} the one that {place} names",
                f"the key of SHA-256 {cut.key_sha256}, with which patients were erased before",
                "bring it from whoever erased them, or from a backup",
            )


def left_out(source: str, settings: AnySource, listed: Collection[str], patients: Iterable[str]) -> set[str]:
    """Those of an archive's patients who are on a list, by their ids or, with the key, by their digests.

    Raises:
        ParamsError: As `refuse` does.
    """
    refuse(source, settings, listed)
    known = set(patients)
    return (known & set(listed)) | erased.among(source, known, listed)
