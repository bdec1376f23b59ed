"""Labels of a question, one column a class, from the findings of a catalog."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from glassbox.artifacts import split as artifact
from glassbox.errors import GlassboxError

if TYPE_CHECKING:
    from glassbox.artifacts.catalog import Vocabulary
    from glassbox.params.splits import Labels

#: Stands for every image that has not the other label.
REST = "rest"


class SplitError(GlassboxError):
    """The asked-for question leaves a class or a fold empty."""


def classes(labels: Labels, vocabulary: Vocabulary) -> tuple[str, ...]:
    """The class names of a question in the order of the network's outputs, what is healthy first.

    A binary question has its negative and its positive label, every other the cohort's word for no finding and
    then its findings, in the order of the vocabulary.
    """
    if labels.task == "binary":
        return labels.negative, labels.positive
    return vocabulary.absence, *vocabulary.findings


def positive(rows: pd.DataFrame) -> pd.Series[bool]:
    """Whether each image is of another class than the first: positive, or with any finding."""
    return rows[artifact.labels(rows)[0]] == 0


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
    names, known = classes(labels, vocabulary), (*vocabulary.findings, vocabulary.absence)
    if unknown := [name for name in names if name not in (*known, REST)]:
        raise SplitError(
            f"{place}: unknown label {unknown[0]!r}", f"one of {', '.join(known)}, or {REST}", f"correct {place}"
        )
    members = _members(rows["findings"], labels, names)
    if lacking := [name for name in names if not members[name].any()]:
        raise SplitError(
            f"{place}: no image of {len(rows):,} is labelled {' or '.join(map(repr, lacking))}",
            "at least one image of each class",
            "ask another question, or use a source that has such images",
        )
    answering = members.any(axis=1)
    return rows[answering].join(members[answering].astype("uint8").add_prefix(artifact.LABEL))


def _members(findings: pd.Series, labels: Labels, names: tuple[str, ...]) -> pd.DataFrame:
    """Whether each image is of each class; bool (N, classes)."""
    if labels.task == "single_label":
        first = labels.several == "first"
        findings = findings.map(lambda found: found[:1] if first or len(found) == 1 else [])
    found = [set(own) for own in findings]
    members = pd.DataFrame({name: [name in own for own in found] for name in names}, index=findings.index)
    if labels.task == "binary":
        for one, other in (names, names[::-1]):
            if one == REST:
                members[one] = ~members[other]
        members[labels.negative] &= ~members[labels.positive]
    return members
