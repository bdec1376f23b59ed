"""The catalog of a source: one typed row an image that is both listed and there, and the words it uses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from glassbox.artifacts import document, table
from glassbox.paths import DATA, METRICS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pandas as pd

_BOX = pa.struct([("finding", pa.string()), *((side, pa.float64()) for side in ("x", "y", "width", "height"))])
#: `age` in years; `boxes` in pixels of the full film; `official_split` as the archive names it.
SCHEMA = pa.schema(
    [
        ("image_id", pa.string()),
        ("patient_id", pa.string()),
        ("member", pa.string()),
        ("findings", pa.list_(pa.string())),
        ("age", pa.float32()),
        ("sex", pa.string()),
        ("view", pa.string()),
        ("official_split", pa.string()),
        ("boxes", pa.list_(_BOX)),
    ]
)


class Vocabulary(NamedTuple):
    """The findings a cohort knows, and what it calls an image without any."""

    findings: tuple[str, ...]
    absence: str


def path(source: str) -> Path:
    """Where the catalog of a source lies."""
    return DATA / "catalogs" / f"{source}.parquet"


def counts_path(source: str) -> Path:
    """Where its counts lie, in git."""
    return METRICS / "catalogs" / f"{source}.json"


def write(source: str, rows: pd.DataFrame, words: Vocabulary) -> None:
    """Writes rows as `SCHEMA` says, and the cohort's words beside them; the same in, the same bytes.

    Raises:
        pyarrow.ArrowException: A value is not of its column's type.
    """
    typed = pa.Table.from_pandas(rows, SCHEMA, preserve_index=False)
    table.write(path(source), typed, f"catalog@{source}", words._asdict())


def write_counts(source: str, counts: Mapping[str, Any]) -> None:
    """Writes its counts."""
    document.write(counts_path(source), counts, f"catalog@{source}")


def read(source: str, columns: list[str] | None = None) -> tuple[pd.DataFrame, Vocabulary]:
    """The catalog of a source, or some of its columns, and the words in which its findings are written."""
    rows, words = table.read(path(source), f"catalog@{source}", SCHEMA, columns)
    frame: pd.DataFrame = rows.to_pandas()
    return frame, Vocabulary(tuple(words["findings"]), words["absence"])
