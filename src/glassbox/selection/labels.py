"""Labels of a binary question, from the findings of a catalog."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glassbox.errors import SplitError
from glassbox.layout import LABEL

if TYPE_CHECKING:
    import pandas as pd

    from glassbox.cohorts.catalog import Vocabulary
    from glassbox.params import Labels

#: Stands for every image that has not the other label.
REST = "rest"


def classes(labels: Labels) -> tuple[str, str]:
    """The class names of a question in the order of the network's outputs: negative, positive."""
    return labels.negative, labels.positive


def label(rows: pd.DataFrame, labels: Labels, vocabulary: Vocabulary, place: str) -> pd.DataFrame:
    """The rows that answer the question, each with one uint8 column a class, one-hot.

    An image with both findings counts as positive; one with neither is left out.

    Args:
        rows: A catalog, with `findings` as lists.
        labels: The question.
        vocabulary: The cohort's words, which the question must use.
        place: Where the question stands in params.yaml, for messages.

    Raises:
        SplitError: A finding is not in the cohort's vocabulary, or a class has no image.
    """
    findings, absence = vocabulary
    for name in classes(labels):
        if name not in (*findings, absence, REST):
            raise SplitError(
                f"{place}: unknown label {name!r}",
                f"one of {', '.join((*findings, absence))}, or {REST}",
                f"correct {place}",
            )
    if labels.positive == REST:
        negative = rows["findings"].map(lambda found: labels.negative in found)
        positive = ~negative
    else:
        positive = rows["findings"].map(lambda found: labels.positive in found)
        has_negative = rows["findings"].map(lambda found: labels.negative in found)
        negative = ~positive & (True if labels.negative == REST else has_negative)
    for name, members in ((labels.negative, negative), (labels.positive, positive)):
        if not members.any():
            raise SplitError(
                f"{place}: no image of {len(rows):,} is labelled {name!r}",
                "at least one image of each class",
                "ask another question, or use a source that has such images",
            )
    labelled = rows[positive | negative].copy()
    labelled[LABEL + labels.negative] = negative[labelled.index].astype("uint8")
    labelled[LABEL + labels.positive] = positive[labelled.index].astype("uint8")
    return labelled
