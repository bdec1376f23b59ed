"""A split: who is in, in which fold, and how often shown; with its leak count, histogram and statistics."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.model_selection import train_test_split

from glassbox import layout
from glassbox.cohorts import catalog
from glassbox.errors import SplitError
from glassbox.files import atomic, write_json
from glassbox.layout import LABEL
from glassbox.selection import balance, folds, histogram, leakage
from glassbox.selection.labels import label
from glassbox.selection.statistics import mean_and_deviation
from glassbox.shards.read import Images

if TYPE_CHECKING:
    import pandas as pd

    from glassbox.cohorts.catalog import Vocabulary
    from glassbox.params import Params, Split


def build(params: Params, name: str) -> None:
    """Writes `split.parquet` and `statistics.json` of a split, and its counts to `metrics/splits/`.

    Who is in is decided by the catalog and by what could not be read; pixels only make the statistics.

    Raises:
        SplitError: The question leaves a class or a fold empty, or too few images to sample from.
    """
    settings = params.splits[name]
    shards = layout.shards(settings.dataset)
    rows = catalog.read(settings.source, ["image_id", "patient_id", "findings", "sex", "official_split"])
    rejected = pq.read_table(shards / "rejected.parquet", columns=["image_id"])["image_id"].to_pylist()
    rows = rows[~rows["image_id"].isin(rejected)]
    split = select(rows, settings, catalog.vocabulary(settings.source), f"splits.{name}")

    images = Images(shards)
    train = images.positions(split.loc[split["fold"] == "train", "image_id"].tolist())
    mean, deviation = mean_and_deviation(images, train)
    with atomic(layout.split(name)) as folder:
        folder.mkdir()
        pq.write_table(_table(split), folder / "split.parquet")
        write_json(
            folder / "statistics.json",
            {"dataset": settings.dataset, "images": len(train), "mean": mean, "std": deviation},
        )
    index = pq.read_table(shards / "index.parquet", columns=["image_id", "source_sha256"]).to_pandas()
    counts = histogram.table(split)
    with atomic(layout.METRICS / "splits" / name) as folder:
        folder.mkdir()
        write_json(folder / "leakage.json", leakage.count(split.merge(index, on="image_id")))
        counts.to_csv(folder / "labels.csv", index=False, lineterminator="\n")
        histogram.draw(counts, folder / "labels.png")


def select(rows: pd.DataFrame, settings: Split, vocabulary: Vocabulary, place: str) -> pd.DataFrame:
    """The rows of a split: `image_id, patient_id, label_*, fold, draws`, in the catalog's order.

    Args:
        rows: A catalog's `image_id, patient_id, findings, sex, official_split`.
        settings: The split's parameters.
        vocabulary: The words of the catalog, which the labels use.
        place: Where the parameters stand in params.yaml, for messages.
    """
    rows = label(rows, settings.labels, vocabulary, f"{place}.labels")
    positive = LABEL + settings.labels.positive
    if settings.sample is not None:
        if settings.sample > len(rows):
            raise SplitError(
                f"{place}.sample: {settings.sample:,} images of {len(rows):,}",
                "no more than there are",
                f"set {place}.sample to null for all of them",
            )
        if settings.sample < len(rows):
            rows = _sample(rows, positive, settings, place)
    rows["fold"] = folds.assign(rows, rows[positive] == 1, settings, place)
    rows["draws"] = 1
    train = rows["fold"] == "train"
    rows.loc[train, "draws"] = balance.draws(
        (rows.loc[train, positive] == 1).to_numpy(), settings.balance, settings.seed
    )
    labels = [column for column in rows if column.startswith(LABEL)]
    return rows[["image_id", "patient_id", *labels, "fold", "draws"]]


def _sample(rows: pd.DataFrame, positive: str, settings: Split, place: str) -> pd.DataFrame:
    """Some of the rows, each class by its share, in the order they had."""
    try:
        kept, _ = train_test_split(
            rows.index.tolist(),
            train_size=settings.sample,
            random_state=settings.seed,
            stratify=rows[positive].tolist(),
        )
    except ValueError:
        raise SplitError(
            f"{place}.sample: {settings.sample:,} of {len(rows):,} images ({int(rows[positive].sum()):,} of them "
            "positive) cannot be drawn by class",
            "at least two images of each class, and two or more to draw and to leave",
            f"set {place}.sample to another number, or to null for all of them",
        ) from None
    return rows.loc[kept].sort_index()


def read(name: str) -> pd.DataFrame:
    """The rows of a split that was built."""
    frame: pd.DataFrame = pq.read_table(layout.split(name) / "split.parquet").to_pandas()
    return frame


def _table(split: pd.DataFrame) -> pa.Table:
    labels = [column for column in split if column.startswith(LABEL)]
    schema = pa.schema(
        [
            ("image_id", pa.string()),
            ("patient_id", pa.string()),
            *((column, pa.uint8()) for column in labels),
            ("fold", pa.string()),
            ("draws", pa.int32()),
        ]
    )
    return pa.Table.from_pandas(split, schema, preserve_index=False).replace_schema_metadata(None)
