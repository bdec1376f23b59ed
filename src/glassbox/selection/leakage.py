"""What folds share that they should not: patients, images, and identical files under different names."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

from glassbox.artifacts.leaks import Leak
from glassbox.artifacts.split import FOLDS

if TYPE_CHECKING:
    import pandas as pd


def count(split: pd.DataFrame) -> list[Leak]:
    """Counts what each pair of folds has in common.

    Args:
        split: Columns `image_id`, `patient_id`, `source_sha256` (of the image file) and `fold`; one row an image
            and fold, so that an image is in several folds by several rows, however often each shows it.

    Returns:
        One a pair and kind: how many distinct patients, images or identical files (by SHA-256; a shared image is
        one, too) are found in both folds.
    """
    columns = {"patients": "patient_id", "images": "image_id", "identical_files": "source_sha256"}
    return [
        Leak(
            folds=f"{one}-{other}",
            what=what,
            shared=len(
                set(split.loc[split["fold"] == one, column]) & set(split.loc[split["fold"] == other, column])
            ),
        )
        for what, column in columns.items()
        for one, other in combinations(FOLDS, 2)
    ]
