"""What makes two trainings equal to the bit: seeds, kernels, threads; and what they depend on besides."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import keras

from glassbox.networks.errors import ModelError
from glassbox.processor import processor

if TYPE_CHECKING:
    from glassbox.params.base import Precision


def prepare(seed: int, precision: Precision, threads: int) -> None:
    """Seeds every generator and chooses deterministic kernels, threads and precision, before a model is built.

    Raises:
        ModelError: This process computes with another number of threads already.
    """
    keras.utils.set_random_seed(seed)
    keras.config.set_dtype_policy(precision)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
        try:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(threads)
        except RuntimeError:
            raise ModelError(
                f"threads: {threads}, and TensorFlow computes with another number in this process",
                "one number a process, set before TensorFlow is used",
                "run the stage in a process of its own",
            ) from None


def machine(threads: int) -> dict[str, str | int | bool]:
    """The kind of machine: what a model's bits depend on besides its inputs.

    Vendor, family, vector extensions and cache sizes of the processor; Keras' backend with its threads and oneDNN;
    the kinds of GPU that TensorFlow computes on.
    """
    return {
        **processor(),
        "threads": threads,
        "backend": keras.backend.backend(),
        "onednn": os.environ.get("TF_ENABLE_ONEDNN_OPTS", "1") != "0",
        "gpu": _gpu(),
    }


def _gpu() -> str:
    """The kinds of accelerator that Keras' backend computes on, each with its number; `none` on a CPU."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        details = tf.config.experimental.get_device_details
        found = [str(details(gpu).get("device_name", gpu.name)) for gpu in tf.config.list_physical_devices("GPU")]
    else:
        # Keras has imported its backend, which is not among the packages that the project installs.
        backend = sys.modules[keras.backend.backend()]
        found = [device.device_kind for device in backend.devices() if device.platform != "cpu"]
    return ", ".join(f"{found.count(name)} x {name}" for name in sorted(set(found))) or "none"
