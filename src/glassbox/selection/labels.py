"""Labels of a question, one column a class, from the findings of a catalog."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
from sklearn.preprocessing import MultiLabelBinarizer

from glassbox.artifacts.split import LABEL
from glassbox.selection.errors import SplitError

if TYPE_CHECKING:
    from glassbox.artifacts.catalog import Vocabulary
    from glassbox.params.splits import BinaryLabels, Labels, MultiLabels, SingleLabels

#: Stands for every image that has not the other label.
REST = "rest"


def classes(labels: Labels, vocabulary: Vocabulary) -> tuple[str, ...]:
    """The class names of a question in the order of the network's outputs, what is healthy first.

    A binary question has its negative and its positive label, every other the cohort's word for no finding and
    then its findings, in the order of the vocabulary.
    """
    if labels.task == "binary":
        return labels.negative, labels.positive
    return vocabulary.absence, *vocabulary.findings


def columns(rows: pd.DataFrame) -> list[str]:
    """The label columns of a split, in the order of its classes."""
    return [column for column in rows if column.startswith(LABEL)]


def positive(rows: pd.DataFrame) -> pd.Series[bool]:
    """Whether each image is of another class than the first: positive, or with any finding."""
    return rows[columns(rows)[0]] == 0


def label(rows: pd.DataFrame, labels: Labels, vocabulary: Vocabulary, place: str) -> pd.DataFrame:
    """The rows that answer the question, each with one uint8 column a class, 0 or 1.

    * `binary`: one-hot. An image with both findings counts as positive; one with neither is left out.
    * `single_label`: one-hot. An image with several findings has the one that its archive lists first
      (`several: first`; NIH lists them by the alphabet, so that Atelectasis always counts and Pneumothorax only
      where it is alone), or is left out (`several: left_out`).
    * `multi_label`: 1 in the column of every finding that the image has, or in that of their absence.

    Args:
        rows: A catalog, with `findings` as lists in the archive's order.
        labels: The question.
        vocabulary: The cohort's words, which the question must use.
        place: Where the question stands in params.yaml, for messages.

    Raises:
        SplitError: A finding is not in the cohort's vocabulary, or a class has no image.
    """
    names = classes(labels, vocabulary)
    if labels.task == "binary":
        members = _binary(rows["findings"], labels, vocabulary, place)
    else:
        members = _of_the_vocabulary(rows["findings"], labels, names)
    if lacking := [name for name in names if not members[name].any()]:
        raise SplitError(
            f"{place}: no image of {len(rows):,} is labelled {' or '.join(map(repr, lacking))}",
            "at least one image of each class",
            "ask another question, or use a source that has such images",
        )
    answering = members.any(axis=1)
    return rows[answering].join(members[answering].astype("uint8").add_prefix(LABEL))


def _binary(findings: pd.Series, labels: BinaryLabels, vocabulary: Vocabulary, place: str) -> pd.DataFrame:
    known = (*vocabulary.findings, vocabulary.absence)
    for name in (labels.negative, labels.positive):
        if name not in (*known, REST):
            raise SplitError(
                f"{place}: unknown label {name!r}", f"one of {', '.join(known)}, or {REST}", f"correct {place}"
            )
    if labels.positive == REST:
        negative = findings.map(lambda found: labels.negative in found)
        return pd.DataFrame({labels.negative: negative, REST: ~negative})
    positive = findings.map(lambda found: labels.positive in found)
    has_negative = findings.map(lambda found: labels.negative in found)
    negative = ~positive & (True if labels.negative == REST else has_negative)
    return pd.DataFrame({labels.negative: negative, labels.positive: positive})


def _of_the_vocabulary(
    findings: pd.Series, labels: SingleLabels | MultiLabels, names: tuple[str, ...]
) -> pd.DataFrame:
    if labels.task == "single_label":
        first = labels.several == "first"
        findings = findings.map(lambda found: found[:1] if first or len(found) == 1 else [])
    found = MultiLabelBinarizer(classes=names).fit_transform(findings)
    return pd.DataFrame(found.astype(bool), index=findings.index, columns=list(names))
