"""The catalog of a source: one typed row an image that is both listed and there, and the words it uses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from glassbox import layout
from glassbox.files import atomic

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

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
        (
            "boxes",
            pa.list_(
                pa.struct(
                    [
                        ("finding", pa.string()),
                        ("x", pa.float64()),
                        ("y", pa.float64()),
                        ("width", pa.float64()),
                        ("height", pa.float64()),
                    ]
                )
            ),
        ),
    ]
)
_VOCABULARY = b"vocabulary"


class Vocabulary(NamedTuple):
    """The findings a cohort knows, and what it calls an image without any."""

    findings: tuple[str, ...]
    absence: str


def write(rows: pd.DataFrame, words: Vocabulary, path: Path) -> None:
    """Writes rows as `SCHEMA` says, and the cohort's words into the file's metadata; the same in, the same bytes.

    Raises:
        pyarrow.ArrowException: A value is not of its column's type.
    """
    table = pa.Table.from_pandas(rows, SCHEMA, preserve_index=False)
    table = table.replace_schema_metadata({_VOCABULARY: json.dumps(words._asdict())})
    with atomic(path) as temporary:
        pq.write_table(table, temporary)


def read(source: str, columns: list[str] | None = None) -> pd.DataFrame:
    """The catalog of a source, or some of its columns."""
    frame: pd.DataFrame = pq.read_table(layout.catalog(source), columns=columns).to_pandas()
    return frame


def vocabulary(source: str) -> Vocabulary:
    """The words in which the findings of a source's catalog are written."""
    words = json.loads(pq.read_schema(layout.catalog(source)).metadata[_VOCABULARY])
    return Vocabulary(tuple(words["findings"]), words["absence"])
