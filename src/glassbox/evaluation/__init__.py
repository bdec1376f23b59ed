"""How well a model does on images it never saw: scores, intervals and figures, without TensorFlow."""
