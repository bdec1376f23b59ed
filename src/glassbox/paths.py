"""The folders of a project, relative to its root. Where a file in them lies is said where it is read."""

from pathlib import Path

PARAMS = Path("params.yaml")
DATA = Path("data")
MODELS = Path("models")
PREDICTIONS = Path("predictions")
METRICS = Path("metrics")
REPORTS = Path("reports")
#: Unfinished business of stages, ignored by git and DVC.
WORK = Path("work")
