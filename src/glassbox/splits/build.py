"""A split: who is in, in which fold, and how often shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glassbox.artifacts import catalog, leaks, shards
from glassbox.artifacts import split as artifact
from glassbox.artifacts.damage import ArtifactError
from glassbox.files import atomic
from glassbox.splits import folds, strata, summary
from glassbox.splits.labels import SplitError, label, positive

if TYPE_CHECKING:
    import pandas as pd

    from glassbox.artifacts.catalog import Vocabulary
    from glassbox.params.splits import Split


def build(settings: Split, name: str) -> None:
    """Writes the folds and the statistics of a split, and its counts to `metrics/splits/`.

    Who is in is decided by the catalog and by what could not be read; pixels only make the statistics, for which
    each image of the training fold counts once, however often it is shown.

    Raises:
        SplitError: The question leaves a class or a fold empty, or too few images to sample from.
        ArtifactError: The catalog or the shards are missing or damaged.
    """
    rows, vocabulary = catalog.read(
        settings.source, ["image_id", "patient_id", "findings", "sex", "official_split"]
    )
    rows = rows[~rows["image_id"].isin(shards.read_rejected(settings.dataset))]
    split = select(rows, settings, vocabulary, f"splits.{name}")
    index, _ = shards.read_index(settings.dataset)
    hashes = index.select(["image_id", "source_sha256", "pixels_sha256"]).to_pandas()
    # A catalog and shards of two archives would lose rows here.
    split = split.merge(hashes, on="image_id", how="left", validate="many_to_one")
    if (lost := split["pixels_sha256"].isna()).any():
        raise ArtifactError(
            shards.folder(settings.dataset) / "index.parquet",
            f"lacks the image {split.loc[lost, 'image_id'].iloc[0]} of the catalog",
            f"resize@{settings.dataset}",
        )
    images, train = shards.Images(settings.dataset), split[split["fold"] == "train"]
    positions = images.positions(train["image_id"].tolist(), train["pixels_sha256"].tolist())
    artifact.write(name, split, summary.statistics(images, positions))
    counts = summary.classes(split)
    with atomic(leaks.folder(name)) as folder:
        folder.mkdir()
        leaks.write(name, folder, summary.leaks(split))
        counts.to_csv(folder / "labels.csv", index=False, lineterminator="\n")
        summary.plot(counts, folder / "labels.png")


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
    rows = folds.assign(_sample(rows, settings, f"{place}.sample"), settings, place)
    train = rows["fold"] == "train"
    # Rows that were drawn are shown as often as drawn, and never balanced.
    shown = rows[train]
    rows.loc[train, "draws"] *= strata.draws(
        shown["image_id"].tolist(), shown[artifact.labels(rows)].to_numpy(), settings.balance, settings.seed
    )
    return rows[["image_id", "patient_id", *artifact.labels(rows), "fold", "draws"]]


def _sample(labelled: pd.DataFrame, settings: Split, place: str) -> pd.DataFrame:
    """As many of the images as are asked for, each class by its share, in the order they had."""
    if (sample := settings.sample) is None:
        return labelled
    if sample > len(labelled):
        raise SplitError(
            f"{place}: {sample:,} images of {len(labelled):,}",
            "no more than there are",
            f"set {place} to null for all of them",
        )
    found = strata.of_images(labelled, settings.labels)
    sampled = strata.sample(found, sample, settings.seed)
    if found["coarse"][sampled].nunique() < found["coarse"].nunique():
        raise SplitError(
            f"{place}: {sample:,} of {len(labelled):,} images ({int(positive(labelled).sum()):,} of them "
            "positive), each class by its share, are all of one kind",
            "a sample that has both, negative and positive",
            f"set {place} to a larger number, or to null for all of them",
        )
    return labelled[sampled]
