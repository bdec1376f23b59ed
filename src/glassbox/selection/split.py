"""A split: who is in, in which fold, and how often shown; with its leak count, histogram and statistics."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from glassbox import layout
from glassbox.cohorts import catalog
from glassbox.errors import SplitError
from glassbox.files import atomic, write_json
from glassbox.selection import balance, folds, histogram, leakage, strata
from glassbox.selection.labels import columns, label, positive
from glassbox.selection.statistics import mean_and_deviation
from glassbox.shards.read import Images

if TYPE_CHECKING:
    import pandas as pd

    from glassbox.cohorts.catalog import Vocabulary
    from glassbox.params import Params, Split


def build(params: Params, name: str) -> None:
    """Writes `split.parquet` and `statistics.json` of a split, and its counts to `metrics/splits/`.

    Who is in is decided by the catalog and by what could not be read; pixels only make the statistics, for which
    each image of the training fold counts once, however often it is shown.

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
    """The rows of a split: `image_id, patient_id, label_*, fold, draws`, one an image and fold.

    They are in the catalog's order; an image that a published procedure puts into several folds has them in the
    order train, validation, test. `label_*` are in the order of `labels.classes`. `draws` is how often an image
    is shown: in an epoch of training, or, where rows were drawn with replacement, in its fold, whichever it is.

    Args:
        rows: A catalog's `image_id, patient_id, findings, sex, official_split`.
        settings: The split's parameters.
        vocabulary: The words of the catalog, which the labels use.
        place: Where the parameters stand in params.yaml, for messages.

    Raises:
        SplitError: The question leaves a class or a fold empty, or too few images to sample from.
    """
    rows = label(rows, settings.labels, vocabulary, f"{place}.labels")
    if settings.sample is not None:
        rows = _sample(rows, settings, settings.sample, f"{place}.sample")
    rows = folds.assign(rows, settings, place)
    train = rows["fold"] == "train"
    # Rows that were drawn are shown as often as drawn, and never balanced.
    shown = rows[train]
    rows.loc[train, "draws"] *= balance.draws(
        shown["image_id"].tolist(), shown[columns(rows)].to_numpy(), settings.balance, settings.seed
    )
    return rows[["image_id", "patient_id", *columns(rows), "fold", "draws"]]


def _sample(labelled: pd.DataFrame, settings: Split, sample: int, place: str) -> pd.DataFrame:
    """Some of the images, each class by its share, in the order they had."""
    if sample > len(labelled):
        raise SplitError(
            f"{place}: {sample:,} images of {len(labelled):,}",
            "no more than there are",
            f"set {place} to null for all of them",
        )
    found = strata.of_images(labelled, settings.labels)
    drawn = strata.sample(found, sample, settings.seed)
    if found["coarse"][drawn].nunique() < found["coarse"].nunique():
        raise SplitError(
            f"{place}: {sample:,} of {len(labelled):,} images ({int(positive(labelled).sum()):,} of them "
            "positive), each class by its share, are all of one kind",
            "a sample that has both, negative and positive",
            f"set {place} to a larger number, or to null for all of them",
        )
    return labelled[drawn]


def read(name: str) -> pd.DataFrame:
    """The rows of a split that was built."""
    frame: pd.DataFrame = pq.read_table(layout.split(name) / "split.parquet").to_pandas()
    return frame


def _table(split: pd.DataFrame) -> pa.Table:
    schema = pa.schema(
        [
            ("image_id", pa.string()),
            ("patient_id", pa.string()),
            *((column, pa.uint8()) for column in columns(split)),
            ("fold", pa.string()),
            ("draws", pa.int32()),
        ]
    )
    return pa.Table.from_pandas(split, schema, preserve_index=False).replace_schema_metadata(None)
