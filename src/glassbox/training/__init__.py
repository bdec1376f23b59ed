"""From folds to a trained model and its predictions."""
