"""The start of Keras and its backend, without what TensorFlow's libraries print while they are loaded."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_DONE = b"the block ended well"
#: A process of its own, so that what was said is shown even where the start ends this process by a signal.
_KEEPER = """
import sys
said = sys.stdin.buffer.read()
if not said.endswith(sys.argv[1].encode()):
    sys.stderr.buffer.write(said)
"""


def start() -> None:
    """Imports Keras and lets its backend look for devices; to be called before any module that imports Keras.

    TensorFlow's C++ libraries print to file descriptor 2 before they read `TF_CPP_MIN_LOG_LEVEL`, which stops only
    later notices.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if "keras" in sys.modules:
        return
    with quiet_unless_it_fails():
        import keras

        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            tf.config.list_physical_devices()


@contextmanager
def quiet_unless_it_fails() -> Iterator[None]:
    """Keeps back what the block writes to standard error, from C++ too, and shows it only if the block fails."""
    with subprocess.Popen([sys.executable, "-ISc", _KEEPER, _DONE.decode()], stdin=subprocess.PIPE) as keeper:
        assert keeper.stdin is not None
        sys.stderr.flush()
        terminal = os.dup(2)
        os.dup2(keeper.stdin.fileno(), 2)
        keeper.stdin.close()
        try:
            yield
            sys.stderr.flush()
            os.write(2, _DONE)
        finally:
            # Closes the last end of the pipe, at which the keeper ends.
            os.dup2(terminal, 2)
            os.close(terminal)
