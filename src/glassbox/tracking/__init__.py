"""MLflow shows the models side by side: one run a model, found by its fingerprint, restored when lost."""
