"""Building a catalog: the tables of an archive, held against the images that are in it."""

from __future__ import annotations

import importlib
import math
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from glassbox.archives import zip as zips
from glassbox.archives.tables import CatalogError, checked
from glassbox.artifacts import archive, catalog, members
from glassbox.params import cut_archive

if TYPE_CHECKING:
    from collections.abc import Collection
    from types import ModuleType

    import pandas as pd

    from glassbox.artifacts.members import Member
    from glassbox.params.sources import AnySource


def build(settings: AnySource, source: str, withdrawn: Collection[str] = ()) -> None:
    """Writes the catalog of a source in archive order, and its counts to `metrics/catalogs/`.

    It is, to the byte, that of an archive which never held the withdrawn patients; the counts say how many.

    Args:
        settings: The source's parameters.
        source: Its key.
        withdrawn: Ids of the patients to leave out, and digests of those who were erased; the archive need not
            have them.

    Raises:
        CatalogError: The layout's module is no cohort, the tables are not those of the layout, or too many images
            are missing or unlisted.
        ArtifactError: The index of the archive's members is missing or damaged.
        ParamsError: Somebody was erased, and nobody can tell here whether the archive holds them.
    """
    place = f"sources.{source}"
    cohort = cohort_of(settings.layout, place)
    listed_members, _ = members.read(source)
    with zips.opened(archive.path(source)) as descriptor:
        listed, images = cohort.tables(listed_members, lambda member: zips.read(descriptor, member))
    listed = checked(listed, cohort.VOCABULARY, place)
    theirs = listed["patient_id"].isin(cut_archive.left_out(source, settings, withdrawn, listed["patient_id"]))
    left_out, kept = listed[theirs & listed["image_id"].isin(images)], listed[~theirs]
    missing = sorted(set(kept["image_id"]) - images.keys())
    unlisted = sorted(images.keys() - set(listed["image_id"]))
    _allow(missing, len(kept), settings.missing_share, place, "missing")
    _allow(unlisted, len(images) - len(left_out), settings.unlisted_share, place, "unlisted")
    rows = _in_archive_order(kept, images)
    if rows.empty:
        raise CatalogError(
            f"{place}: the archive has no image of its table",
            f"images in the {settings.layout} layout",
            "check the source's layout",
        )
    try:
        catalog.write(source, rows, cohort.VOCABULARY)
    except pa.ArrowException as error:
        raise CatalogError(
            f"{place}: {'; '.join(map(str, error.args))}",
            "rows in the types of a catalog (src/glassbox/artifacts/catalog.py)",
            f"correct `tables` in src/glassbox/cohorts/{settings.layout}.py",
        ) from None
    # None for no image: DVC, which plots this file's findings, fails on an empty list beside them.
    differences = {
        "withdrawn": _withdrawn(left_out, rows, images, len(withdrawn)),
        "missing": {"images": len(missing), "first": missing[:10] or None},
        "unlisted": {"images": len(unlisted), "first": unlisted[:10] or None},
        "duplicates": _duplicates(rows, images),
    }
    catalog.write_counts(source, _counts(rows) | differences)


def cohort_of(layout: str, place: str) -> ModuleType:
    """A cohort is one module: its words are `VOCABULARY`, its reader is `tables`; messages begin with `place`.

    Raises:
        CatalogError: The module has not got them.
    """
    cohort = importlib.import_module(f"glassbox.cohorts.{layout}")
    if lacking := [name for name in ("VOCABULARY", "tables") if not hasattr(cohort, name)]:
        raise CatalogError(
            f"{place}: src/glassbox/cohorts/{layout}.py has no {' and no '.join(lacking)}",
            "a cohort: its words as VOCABULARY and its reader as tables",
            "write what is missing, as docs/own_archive.md shows, or name another layout",
        )
    return cohort


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
    findings = rows["findings"].explode().value_counts().sort_index()
    return {
        "images": len(rows),
        "patients": rows["patient_id"].nunique(),
        "boxes": int(rows["boxes"].map(len).sum()),
        "findings": [{"finding": name, "images": images} for name, images in findings.items()],
        "official_split": rows["official_split"].value_counts().sort_index().to_dict(),
    }


def _withdrawn(
    left_out: pd.DataFrame, rows: pd.DataFrame, images: dict[str, Member], withdrawn: int
) -> dict[str, int]:
    """Counts of who was left out, without ids; and of others' images whose files are the same, and stay."""
    hashes = {images[image].sha256 for image in left_out["image_id"]}
    patients = left_out["patient_id"].nunique()
    return {
        "patients": patients,
        "images": len(left_out),
        "patients_without_images": withdrawn - patients,
        "same_files_of_others": sum(images[image].sha256 in hashes for image in rows["image_id"]),
    }


def _duplicates(rows: pd.DataFrame, images: dict[str, Member]) -> dict[str, Any]:
    """Counts of images whose files are identical; in a group of several patients one has another's film."""
    hashes = rows["image_id"].map(lambda image: images[image].sha256)
    same = rows[hashes.duplicated(keep=False)]
    groups = same.groupby(hashes, sort=False)
    patients = groups["patient_id"].nunique()
    return {
        "images": len(same),
        "groups": len(patients),
        "of_several_patients": int((patients > 1).sum()),
        "first": [group.tolist() for _, group in groups["image_id"]][:10] or None,
    }
