import numpy as np
import pytest
import tensorflow as tf

from glassbox.networks import runtime
from glassbox.networks.errors import ModelError


def test_another_number_of_threads_is_refused_once_something_was_computed():
    """As it would silently be another model: the threads of a process cannot be changed any more."""
    tf.constant(np.ones(3)) + 1
    runtime.prepare(1, "float32", tf.config.threading.get_intra_op_parallelism_threads())
    with pytest.raises(ModelError, match="threads: 3, and TensorFlow computes with another number"):
        runtime.prepare(1, "float32", 3)


def test_the_kind_of_machine_says_what_the_bits_of_a_model_depend_on():
    machine = runtime.machine(2)
    assert machine["threads"] == 2
    assert (machine["backend"], machine["onednn"]) == ("tensorflow", True)
    assert {"vendor", "family", "vector_extensions", "caches", "architecture", "gpu"} <= set(machine)
    assert "cores" not in machine
