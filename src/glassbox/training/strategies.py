"""Training and inference on the devices of one machine: one, or several by TensorFlow's strategies."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from glassbox.networks.errors import ModelError
from glassbox.training import batches

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from numpy.typing import NDArray

    from glassbox.params.experiments import Training
    from glassbox.training.augment import Variations
    from glassbox.training.batches import Fold

#: Images in a batch of inference.
_BATCH = 64


def scope(training: Training) -> AbstractContextManager[Any]:
    """The context in which a model is built or loaded, and trained.

    `mirrored` has a copy of the model on every GPU of this machine, or on its CPU where it has none.

    Raises:
        ModelError: Keras runs on another backend, or the devices cannot share a batch equally.
    """
    if training.strategy == "none":
        return nullcontext()
    if (backend := keras.backend.backend()) != "tensorflow":
        raise ModelError(
            f"training.strategy: {training.strategy}, and Keras runs on {backend}",
            "TensorFlow, whose distribution strategies these are",
            "set training.strategy to none, or unset KERAS_BACKEND",
        )
    strategy = _mirrored()
    if training.batch_size % (count := strategy.num_replicas_in_sync):
        raise ModelError(
            f"training.batch_size: {training.batch_size} images for {count} devices",
            "a number that they can share equally",
            "set training.batch_size to a multiple of the number of devices",
        )
    context: AbstractContextManager[Any] = strategy.scope()
    return context


def _mirrored() -> Any:
    import tensorflow as tf

    # TensorFlow's own default takes the first CPU only where there is no GPU.
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return tf.distribute.MirroredStrategy([device.name for device in devices])


def replicas(model: keras.Model) -> int:
    """Among how many devices a model's batches are shared."""
    strategy = getattr(model, "distribute_strategy", None)
    return 1 if strategy is None else int(strategy.num_replicas_in_sync)


def build(model: keras.Model, batch_size: int) -> None:
    """Makes the variables of a compiled model's metrics and optimiser, before several devices need them.

    For one device the first step does it.
    """
    if replicas(model) > 1:
        model.optimizer.build(model.trainable_variables)
        shapes = (model.input_shape[1:], model.output_shape[1:])
        images, labels = (np.zeros((batch_size, *shape), np.uint8) for shape in shapes)
        model.test_on_batch(images, labels.astype(np.float32))


def train(
    model: keras.Model,
    images: NDArray[np.uint8],
    labels: NDArray[np.float32],
    weights: NDArray[np.float32] | None,
) -> tuple[Any, ...]:
    """One step on a batch, each device taking an equal part of it.

    Returns:
        The loss and the accuracy before the step, as scalars of the device: with TensorFlow the step may still be
        under way, and who converts them to `float` waits for it. On another backend this function waits.
    """
    if keras.backend.backend() != "tensorflow":
        return tuple(model.train_on_batch(images, labels, weights))
    # What `train_on_batch` does, which waits, and does not take batches that are shared already.
    model.make_train_function()
    model.reset_metrics()
    batch = (images, labels) if weights is None else (images, labels, weights)
    figures = model.train_function(iter([_shared(model, batch)]))
    return figures.pop("loss"), *figures.values()


def infer(model: keras.Model, fold: Fold, variations: Variations | None = None) -> NDArray[np.float32]:
    """What a network says of the images of a fold, in its order, as they are or varied; float32 (N, classes)."""
    devices = replicas(model)
    images = batches.in_order(fold, devices * -(-min(_BATCH, len(fold)) // devices), variations)
    found = [np.asarray(model.predict_on_batch(_shared(model, batch))) for batch in images]
    return np.concatenate(found)[: len(fold)]


def _shared(model: keras.Model, batch: Any) -> Any:
    """A batch as its devices take it: an equal part each, in order."""
    if (devices := replicas(model)) == 1:
        return batch
    import tensorflow as tf

    def part(context: Any) -> Any:
        number = context.replica_id_in_sync_group
        return tf.nest.map_structure(lambda array: np.split(array, devices)[number], batch)

    return model.distribute_strategy.experimental_distribute_values_from_function(part)
