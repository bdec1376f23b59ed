"""Short trainings of one experiment to choose between."""
