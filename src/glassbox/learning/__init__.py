"""Networks and their training, in plain Keras 3; nothing above this room imports TensorFlow."""

import os

# TensorFlow reads it when it is imported: its start-up notices would drown the one message that matters.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
