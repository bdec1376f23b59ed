"""Building a catalog: the tables of an archive, held against the images that are in it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from glassbox import layout
from glassbox.cohorts import catalog, kermany, nih
from glassbox.errors import CatalogError
from glassbox.files import write_json
from glassbox.sources import zip as zips

if TYPE_CHECKING:
    from glassbox.cohorts.records import Tables
    from glassbox.params import Params

READERS = {"nih": nih.tables, "kermany": kermany.tables}


def build(params: Params, source: str) -> None:
    """Writes `layout.catalog(source)` in archive order, and its counts to `metrics/catalogs/`.

    Raises:
        CatalogError: The tables are not those of the layout, or too many images are missing or unlisted.
    """
    settings = params.sources[source]
    reader = READERS[settings.layout]
    path = layout.archive(source)
    archive = zips.members(path)
    with zips.opened(path) as descriptor:
        tables = reader(archive, lambda member: zips.read(descriptor, member))
    missing, unlisted = _differences(tables, source)
    _allow(missing, len(tables.rows), settings.missing_share, source, "missing")
    _allow(unlisted, len(tables.images), settings.unlisted_share, source, "unlisted")
    rows = tables.rows[tables.rows["image_id"].isin(tables.images.keys())].copy()
    if rows.empty:
        raise CatalogError(
            f"sources.{source}: the archive has no image of its table",
            f"images in the {settings.layout} layout",
            "check the source's layout",
        )
    rows["member"] = [tables.images[image].name for image in rows["image_id"]]
    offsets = [tables.images[image].offset for image in rows["image_id"]]
    rows = rows.iloc[sorted(range(len(rows)), key=offsets.__getitem__)]
    catalog.write(rows, layout.catalog(source))
    counts = rows["findings"].explode().value_counts()
    write_json(
        layout.METRICS / "catalogs" / f"{source}.json",
        {
            "images": len(rows),
            "patients": rows["patient_id"].nunique(),
            "boxes": int(rows["boxes"].map(len).sum()),
            "findings": [{"finding": name, "images": int(counts[name])} for name in sorted(counts.index)],
            "official_split": {
                str(name): int(count) for name, count in rows["official_split"].value_counts().sort_index().items()
            },
            "missing": {"images": len(missing), "first": missing[:10]},
            "unlisted": {"images": len(unlisted), "first": unlisted[:10]},
        },
    )


def _differences(tables: Tables, source: str) -> tuple[list[str], list[str]]:
    """Images that the tables list and the archive lacks, and the reverse; both sorted."""
    listed = tables.rows["image_id"]
    if (twice := listed.duplicated()).any():
        raise CatalogError(
            f"sources.{source}: image {listed[twice].iloc[0]} is listed twice",
            "one row an image",
            "mend the table",
        )
    return sorted(set(listed) - tables.images.keys()), sorted(tables.images.keys() - set(listed))


def _allow(images: list[str], among: int, share: float, source: str, what: str) -> None:
    if not among or len(images) / among <= share:
        return
    where = {"missing": "listed but not in the archive", "unlisted": "in the archive but not listed"}[what]
    raise CatalogError(
        f"sources.{source}: {len(images):,} of {among:,} images are {where}: "
        f"{', '.join(images[:3])}{' ...' if len(images) > 3 else ''}",
        f"at most {what}_share: {share:g} of them ({int(share * among):,})",
        f"complete the archive, or, if a part is meant, set sources.{source}.{what}_share to at least "
        f"{math.ceil(1e4 * len(images) / among) / 1e4:g}",
    )
