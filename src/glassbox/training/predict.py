"""Per-image predictions of an experiment's model on every variant of its test fold."""

from __future__ import annotations

from glassbox.artifacts import model, predictions, recipe, split
from glassbox.artifacts.recipe import PredictRecipe
from glassbox.artifacts.shards import Images
from glassbox.networks import keras_file, runtime
from glassbox.training import augment
from glassbox.training.batches import Fold
from glassbox.training.strategies import infer

#: Tells the draw of the augmented test set from every draw of training.
_TEST = 2


def predict(experiment: str) -> None:
    """Writes the predictions of an experiment: one file a variant, one row an image of the test fold.

    The augmented variant varies each image once, drawn from the experiment's seed and its ranges. Rows
    keep the split's order, so a prediction can never be compared with another image's label.

    Raises:
        ArtifactError: The recipe, the model or the data are missing or damaged.
    """
    settings = recipe.read(experiment, "predict", PredictRecipe)
    training = settings.training
    runtime.prepare(training.seed, training.precision, training.threads)
    lineage = model.read_lineage(experiment)
    network = keras_file.load(model.verified(lineage))
    test = split.shown(settings.split, "test")
    fold = Fold.of(Images(settings.dataset), test)
    variations = augment.draw(settings.augmentation, len(fold), (training.seed, _TEST))
    found = {"test_clean": infer(network, fold), "test_augmented": infer(network, fold, variations)}
    predictions.write(experiment, test, found, lineage.model_sha256)
