"""Networks and their training, in plain Keras 3; nothing above this room imports TensorFlow."""
