"""What folds share that they should not: patients, images, and identical files under different names."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

from glassbox.selection.folds import FOLDS

if TYPE_CHECKING:
    import pandas as pd


def count(split: pd.DataFrame) -> dict[str, dict[str, int]]:
    """Counts what each pair of folds has in common.

    Args:
        split: Columns `image_id`, `patient_id`, `source_sha256` (of the image file) and `fold`.

    Returns:
        `{"patients": {"train-test": 0, ...}, "images": ..., "identical_files": ...}`: distinct values found
        in both folds of the pair.
    """
    columns = {"patients": "patient_id", "images": "image_id", "identical_files": "source_sha256"}
    return {
        name: {
            f"{one}-{other}": len(
                set(split.loc[split["fold"] == one, column]) & set(split.loc[split["fold"] == other, column])
            )
            for one, other in combinations(FOLDS, 2)
        }
        for name, column in columns.items()
    }
