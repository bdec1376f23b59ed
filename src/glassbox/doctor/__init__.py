"""What stands in the way of `dvc repro`, told before it starts."""
