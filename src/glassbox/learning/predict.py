"""Per-image predictions of an experiment's model on every variant of its test fold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
import pyarrow as pa
import pyarrow.parquet as pq

from glassbox import layout
from glassbox.files import atomic
from glassbox.learning import augment, runtime
from glassbox.learning.batches import Fold, read_split, rows_of
from glassbox.learning.inference import infer
from glassbox.shards.read import Images

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from glassbox.params import Params

#: Tells the draw of the augmented test set from every draw of training.
_TEST = 2


def predict(params: Params, experiment: str) -> None:
    """Writes `layout.predictions(experiment)`: one Parquet file a variant, one row an image of the test fold.

    The augmented variant varies each image once, drawn from the experiment's seed and its ranges. Rows
    keep the split's order, so a prediction can never be compared with another image's label.
    """
    settings = params.experiments[experiment]
    runtime.prepare(settings.training.seed, settings.training.precision)
    model = keras.models.load_model(layout.models(experiment) / layout.MODEL, compile=False)
    split = read_split(settings.split)
    fold = Fold.of(Images(layout.shards(settings.dataset)), split, "test")
    variations = augment.draw(settings.augmentation, len(fold), (settings.training.seed, _TEST))
    with atomic(layout.predictions(experiment)) as folder:
        folder.mkdir()
        for variant, drawn in zip(layout.VARIANTS, (None, variations), strict=True):
            table = _table(rows_of(split, "test"), infer(model, fold, drawn))
            pq.write_table(table, folder / f"{variant}.parquet")


def _table(test: pd.DataFrame, probabilities: NDArray[np.float32]) -> pa.Table:
    labels = [column for column in test if column.startswith(layout.LABEL)]
    names = [column.removeprefix(layout.LABEL) for column in labels]
    columns = {
        "image_id": pa.array(test["image_id"], pa.string()),
        "patient_id": pa.array(test["patient_id"], pa.string()),
    }
    columns |= {column: pa.array(test[column].to_numpy(), pa.uint8()) for column in labels}
    columns |= {
        layout.PROBABILITY + name: pa.array(probability, pa.float32())
        for name, probability in zip(names, probabilities.T, strict=True)
    }
    return pa.table(columns)
