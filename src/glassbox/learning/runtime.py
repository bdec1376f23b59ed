"""What makes two trainings equal to the bit: seeds, deterministic kernels; and what they depend on besides."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras

if TYPE_CHECKING:
    from glassbox.params import Precision

#: The packages whose numbers reach a model's bytes, Keras' backend beside them; `environment.yaml` holds their
#: locked versions.
PACKAGES = ("keras", "numpy", "opencv-python-headless", "scikit-image", "h5py")


def prepare(seed: int, precision: Precision) -> None:
    """Seeds every generator and chooses deterministic kernels and the precision; once, before a model is built."""
    keras.utils.set_random_seed(seed)
    keras.config.set_dtype_policy(precision)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()


def packages() -> dict[str, str]:
    """The installed versions of Keras' backend and of `PACKAGES`."""
    return {name: version(name) for name in (keras.backend.backend(), *PACKAGES)}


def machine() -> dict[str, Any]:
    """What a model's bits depend on besides its inputs: Keras' backend, cores, oneDNN and the kind of CPU."""
    return {
        "backend": keras.backend.backend(),
        "cores": len(os.sched_getaffinity(0)),
        "onednn": os.environ.get("TF_ENABLE_ONEDNN_OPTS", "1") != "0",
        "architecture": platform.machine(),
        "cpu": _cpu(),
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
