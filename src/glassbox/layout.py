"""Where each output lies, relative to the project's root. `dvc.yaml` names the same places."""

from pathlib import Path

PARAMS = Path("params.yaml")
DATA = Path("data")
MODELS = Path("models")
PREDICTIONS = Path("predictions")
METRICS = Path("metrics")
REPORTS = Path("reports")
WORK = Path("work")

#: Folders of `metrics/` that hold no experiment.
METRICS_OF_DATA = ("sources", "catalogs", "splits", "grids")
#: The weights of a backbone, in Keras' format; or an empty file that says that random ones are meant, not that
#: some were lost.
WEIGHTS, NO_WEIGHTS = "backbone.weights.h5", "none"
#: The model and the history of the warm start, and those of the finished training with the record of what the
#: model was made from; all in `models(experiment)`.
INITIAL_MODEL, INITIAL_HISTORY = "warm_start.keras", "warm_start.csv"
MODEL, HISTORY, LINEAGE = "model.keras", "history.csv", "lineage.json"
#: Prefix of the label columns of a split and of predictions; the class name follows.
LABEL = "label_"
#: Prefix of the probability columns of predictions.
PROBABILITY = "probability_"
#: What every experiment is tested on, in the order of tables and figures.
VARIANTS = ("test_clean", "test_augmented")


def archive(source: str) -> Path:
    """The one zip of a source."""
    return DATA / "archives" / f"{source}.zip"


def members(source: str) -> Path:
    """The index of an archive's members (Parquet)."""
    return DATA / "archives" / f"{source}.members.parquet"


def catalog(source: str) -> Path:
    """The table of a source's images (Parquet)."""
    return DATA / "catalogs" / f"{source}.parquet"


def shards(dataset: str) -> Path:
    """The folder of a dataset's HDF5 shards, `index.parquet` and `rejected.parquet`."""
    return DATA / "shards" / dataset


def split(name: str) -> Path:
    """The folder of a split: `split.parquet` and `statistics.json`."""
    return DATA / "splits" / name


def weights(name: str) -> Path:
    """The folder of initial weights: `WEIGHTS` or `NO_WEIGHTS`."""
    return DATA / "weights" / name


def row(grid: str, name: str) -> Path:
    """The table of the trained cells in one row of a grid (CSV)."""
    return DATA / "grids" / grid / f"{name}.csv"


def choices(grid: str) -> Path:
    """The best cells of a grid, the best first (JSON)."""
    return DATA / "choices" / f"{grid}.json"


def models(experiment: str) -> Path:
    """The folder of an experiment's models, histories and lineage."""
    return MODELS / experiment


def predictions(experiment: str) -> Path:
    """The folder of an experiment's per-image predictions, one Parquet file a variant."""
    return PREDICTIONS / experiment


def metrics(experiment: str) -> Path:
    """The folder of what was measured of an experiment (small files, in git)."""
    return METRICS / experiment
