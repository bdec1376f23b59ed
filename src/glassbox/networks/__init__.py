"""What Keras builds: backbones, heads, freezing, initial weights, the `.keras` file."""
