"""The catalog of a source: one typed row an image that is both listed and there."""

from __future__ import annotations

from typing import TYPE_CHECKING

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


def write(rows: pd.DataFrame, path: Path) -> None:
    """Writes rows as `SCHEMA` says; the same rows give the same bytes."""
    table = pa.Table.from_pandas(rows, SCHEMA, preserve_index=False)
    with atomic(path) as temporary:
        pq.write_table(table.replace_schema_metadata(None), temporary)


def read(source: str, columns: list[str] | None = None) -> pd.DataFrame:
    """The catalog of a source, or some of its columns."""
    frame: pd.DataFrame = pq.read_table(layout.catalog(source), columns=columns).to_pandas()
    return frame
