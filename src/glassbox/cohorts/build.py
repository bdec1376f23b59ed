"""Building a catalog: the tables of an archive, held against the images that are in it."""

from __future__ import annotations

import importlib
import math
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from glassbox.artifacts import archive, catalog, members
from glassbox.cohorts import duplicates
from glassbox.cohorts.records import CatalogError, checked
from glassbox.sources import zip as zips

if TYPE_CHECKING:
    import pandas as pd

    from glassbox.artifacts.members import Member
    from glassbox.params.sources import AnySource


def build(settings: AnySource, source: str) -> None:
    """Writes the catalog of a source in archive order, and its counts to `metrics/catalogs/`.

    Raises:
        CatalogError: The tables are not those of the layout, or too many images are missing or unlisted.
        ArtifactError: The index of the archive's members is missing or damaged.
    """
    # A cohort is one module: its words are `VOCABULARY`, its reader is `tables`.
    cohort = importlib.import_module(f"glassbox.cohorts.{settings.layout}")
    place = f"sources.{source}"
    listed_members, _ = members.read(source)
    with zips.opened(archive.path(source)) as descriptor:

        def content(member: Member) -> bytes:
            return zips.read(descriptor, member)

        listed, images = cohort.tables(listed_members, content)
    listed = checked(listed, cohort.VOCABULARY, place)
    missing = sorted(set(listed["image_id"]) - images.keys())
    unlisted = sorted(images.keys() - set(listed["image_id"]))
    _allow(missing, len(listed), settings.missing_share, place, "missing")
    _allow(unlisted, len(images), settings.unlisted_share, place, "unlisted")
    rows = _in_archive_order(listed, images)
    if rows.empty:
        raise CatalogError(
            f"{place}: the archive has no image of its table",
            f"images in the {settings.layout} layout",
            "check the source's layout",
        )
    twins = duplicates.groups({image: images[image] for image in rows["image_id"]})
    try:
        catalog.write(source, rows, cohort.VOCABULARY)
    except pa.ArrowException as error:
        raise CatalogError(
            f"{place}: {'; '.join(map(str, error.args))}",
            "rows in the types of a catalog (src/glassbox/artifacts/catalog.py)",
            f"correct `tables` in src/glassbox/cohorts/{settings.layout}.py",
        ) from None
    catalog.write_counts(
        source,
        {
            **_counts(rows),
            "missing": {"images": len(missing), "first": _some(missing)},
            "unlisted": {"images": len(unlisted), "first": _some(unlisted)},
            "duplicates": _twins(twins, rows),
        },
    )


def _in_archive_order(listed: pd.DataFrame, images: dict[str, Member]) -> pd.DataFrame:
    """The rows whose image is there, each with its `member`."""
    there = [(images[image].offset, row) for row, image in enumerate(listed["image_id"]) if image in images]
    rows = listed.iloc[[row for _, row in sorted(there)]]
    return rows.assign(member=[images[image].name for image in rows["image_id"]])


def _allow(images: list[str], among: int, share: float, place: str, what: str) -> None:
    if not among or len(images) / among <= share:
        return
    where = {"missing": "listed but not in the archive", "unlisted": "in the archive but not listed"}[what]
    raise CatalogError(
        f"{place}: {len(images):,} of {among:,} images are {where}: "
        f"{', '.join(images[:3])}{' ...' if len(images) > 3 else ''}",
        f"at most {what}_share: {share:g} of them ({int(share * among):,})",
        f"complete the archive, or, if a part is meant, set {place}.{what}_share to at least "
        f"{math.ceil(1e4 * len(images) / among) / 1e4:g}",
    )


def _counts(rows: pd.DataFrame) -> dict[str, Any]:
    counts = rows["findings"].explode().value_counts()
    official = rows["official_split"].value_counts().sort_index()
    return {
        "images": len(rows),
        "patients": rows["patient_id"].nunique(),
        "boxes": int(rows["boxes"].map(len).sum()),
        "findings": [{"finding": name, "images": int(counts[name])} for name in sorted(counts.index)],
        "official_split": {str(name): int(count) for name, count in official.items()},
    }


def _twins(groups: list[list[str]], rows: pd.DataFrame) -> dict[str, Any]:
    """Counts of identical files; a group of several patients makes one of them a stranger to his own film."""
    patients = dict(zip(rows["image_id"], rows["patient_id"], strict=True))
    return {
        "images": sum(map(len, groups)),
        "groups": len(groups),
        "of_several_patients": sum(len({patients[image] for image in group}) > 1 for group in groups),
        "first": _some(groups),
    }


def _some(found: list[Any]) -> list[Any] | None:
    # DVC, which draws this file's findings, fails on an empty list beside them.
    return found[:10] or None
