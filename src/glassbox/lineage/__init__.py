"""Which data, weights and code made a model, and who saw a patient: proved from what DVC, git and MLflow hold."""
