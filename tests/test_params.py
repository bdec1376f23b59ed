import copy
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from glassbox import params
from glassbox.errors import ParamsError

ROOT = Path(__file__).parents[1]
_ABSENT = object()

_PHASE = {
    "epochs": 1,
    "freeze": "backbone",
    "optimizer": {"name": "adam", "learning_rate": 0.001},
    "loss": "categorical_crossentropy",
}
_VALID: dict[str, Any] = {
    "profile": "test",
    "sources": {
        "films": {"kind": "phantom", "layout": "nih", "seed": 1, "patients": 3, "size": 64},
        "disk": {"kind": "archive", "layout": "nih", "path": "a.zip", "sha256": "0" * 64},
        "web": {"kind": "kaggle", "layout": "nih", "ref": "nih-chest-xrays/data", "version": 3},
    },
    "datasets": {"films_32": {"source": "films", "size": 32}, "disk_32": {"source": "disk", "size": 32}},
    "splits": {
        "mass": {
            "source": "films",
            "dataset": "films_32",
            "labels": {"positive": "Mass"},
            "official_test": True,
            "validation": 0.1,
            "balance": "none",
            "seed": 1,
        }
    },
    "weights": {"none": {"kind": "none"}, "vgg": {"kind": "imagenet", "backbone": "vgg16"}},
    "experiments": {
        "small": {
            "title": "A small network",
            "dataset": "films_32",
            "split": "mass",
            "weights": "none",
            "model": {"backbone": "compact", "normalise": "minmax"},
            "augmentation": {},
            "training": {"seed": 1, "batch_size": 4},
            "warm_start": copy.deepcopy(_PHASE),
            "fine_tune": _PHASE,
            "evaluation": {"resamples": 100, "seed": 1},
            "published": {"source": "nobody"},
        }
    },
}


def _changed(place: str, value: object) -> dict[str, Any]:
    """Valid parameters but for one place; `_ABSENT` takes the key away."""
    values = copy.deepcopy(_VALID)
    *above, last = place.split("/")
    block = values
    for key in above:
        block = block[key]
    if value is _ABSENT:
        del block[last]
    else:
        block[last] = value
    return values


def test_the_committed_params_are_those_of_the_demo() -> None:
    parsed = params.load(ROOT / "params.yaml")
    assert parsed.profile == "demo"
    assert parsed.experiments


def test_the_block_that_every_refusal_changes_is_itself_valid() -> None:
    parsed = params.parse(_VALID, "params.yaml")
    assert isinstance(parsed.sources["films"], params.PhantomSource)
    assert isinstance(parsed.sources["disk"], params.ArchiveSource)
    assert isinstance(parsed.sources["web"], params.KaggleSource)
    assert parsed.experiments["small"].fine_tune.early_stopping is None


def test_parameters_cannot_be_changed_after_parsing() -> None:
    parsed = params.parse(_VALID, "params.yaml")
    with pytest.raises(ValueError, match="frozen"):
        parsed.datasets["films_32"].size = 64  # type: ignore[misc]


_OPTIMIZER = "experiments/small/fine_tune/optimizer"
_MODEL = "experiments/small/model"


@pytest.mark.parametrize(
    ("place", "value", "says"),
    [
        # An unknown or a missing key.
        (
            "experimets",
            {},
            "experimets: unknown key; allowed here: profile, sources, datasets, splits, weights, experiments",
        ),
        ("sources/films/colour", 1, "sources.films.colour: unknown key"),
        (
            "datasets/films_32/sise",
            64,
            "allowed here: source, size, method, shard_images, rejected_share",
        ),
        (
            f"{_OPTIMIZER}/lr",
            0.1,
            (
                "experiments.small.fine_tune.optimizer.lr: unknown key; allowed here: name, learning_rate, "
                "schedule, decay, momentum, nesterov, beta_1, weight_decay"
            ),
        ),
        ("profile", _ABSENT, "profile: missing"),
        ("sources/disk/sha256", _ABSENT, "sources.disk.sha256: missing"),
        ("splits/mass/labels/positive", _ABSENT, "splits.mass.labels.positive: missing"),
        # A value of the wrong type.
        ("sources/films/size", "big", "sources.films.size: found 'big': Input should be a valid integer"),
        ("sources/films", None, "sources.films: found None: Input should be a valid dictionary"),
        (
            f"{_OPTIMIZER}/learning_rate",
            "low",
            "optimizer.learning_rate: found 'low': Input should be a valid number",
        ),
        # A value out of range.
        ("sources/films/size", 16, "sources.films.size: found 16: Input should be greater than or equal to 32"),
        (
            "sources/films/prevalence",
            {"Mass": 1.5},
            "sources.films.prevalence.Mass: found 1.5: Input should be less",
        ),
        ("sources/disk/missing_share", -0.1, "sources.disk.missing_share: found -0.1: Input should be greater"),
        ("sources/disk/sha256", "ABC", "sources.disk.sha256: found 'ABC': String should match pattern"),
        ("sources/web/ref", "nih", "sources.web.ref: found 'nih': String should match pattern"),
        ("datasets/films_32/shard_images", 0, "datasets.films_32.shard_images: found 0: Input should be greater"),
        ("splits/mass/validation", 1.0, "splits.mass.validation: found 1.0: Input should be less than 1"),
        ("splits/mass/validation", float("nan"), "splits.mass.validation: found nan"),
        (f"{_MODEL}/dense", [256, 0], "experiments.small.model.dense.1: found 0: Input should be greater than 0"),
        (f"{_MODEL}/dropout", 1.0, "experiments.small.model.dropout: found 1.0: Input should be less than 1"),
        ("experiments/small/augmentation/zoom", 1.5, "augmentation.zoom: found 1.5: Input should be less than 1"),
        ("experiments/small/fine_tune/epochs", -1, "fine_tune.epochs: found -1: Input should be greater"),
        ("experiments/small/fine_tune/freeze", {"first": 0}, "fine_tune.freeze.first: found 0: Input should be"),
        ("experiments/small/evaluation/resamples", 10, "evaluation.resamples: found 10: Input should be greater"),
        # A value that is none of a list.
        (
            "sources/films/kind",
            "kagle",
            "'kagle' found using 'kind' does not match any of the expected tags: 'phantom'",
        ),
        ("sources/films/layout", "kermany", "sources.films.layout: found 'kermany': Input should be 'nih'"),
        (
            "splits/mass/balance",
            "most",
            "splits.mass.balance: found 'most': Input should be 'largest', 'smallest' or",
        ),
        (
            "weights/vgg/backbone",
            "vgg17",
            "weights.vgg.backbone: found 'vgg17': Input should be 'vgg16' or 'resnet50'",
        ),
        (f"{_MODEL}/backbone", "vgg17", "found 'vgg17': Input should be 'compact', 'vgg16' or 'resnet50'"),
        (
            "experiments/small/fine_tune/freeze",
            "all",
            "fine_tune.freeze: found 'all': Input should be 'nothing', 'back",
        ),
        (
            "experiments/small/published/scores",
            {"test": {}},
            "scores.test: found 'test': Input should be 'test_clean'",
        ),
        # A name that cannot be one of a file.
        ("sources/a b", {"kind": "phantom"}, "sources.a b: found 'a b': String should match pattern"),
        ("datasets/..", {"source": "films", "size": 32}, "datasets...: found '..': String should match pattern"),
        ("experiments/splits", _VALID["experiments"]["small"], "experiments.splits: the name is taken"),
        # A name that does not exist.
        ("datasets/films_32/source", "x", "datasets.films_32.source names 'x'; there are: disk, films, web"),
        ("splits/mass/dataset", "x", "splits.mass.dataset names 'x'; there are: disk_32, films_32"),
        ("experiments/small/dataset", "x", "experiments.small.dataset names 'x'; there are: disk_32, films_32"),
        ("experiments/small/split", "x", "experiments.small.split names 'x'; there are: mass"),
        ("experiments/small/weights", "x", "experiments.small.weights names 'x'; there are: none, vgg"),
        ("splits", {}, "experiments.small.split names 'mass'; there are: none"),
        # Choices that do not go together.
        (
            "splits/mass/dataset",
            "disk_32",
            "splits.mass: dataset 'disk_32' is of source 'disk', the split of 'films'",
        ),
        (
            "experiments/small/dataset",
            "disk_32",
            "experiments.small: dataset 'disk_32' is of source 'disk', the split of 'films'",
        ),
        (
            "experiments/small/weights",
            "vgg",
            "experiments.small: weights 'vgg' are of backbone 'vgg16', its model has 'compact'",
        ),
        ("splits/mass/labels/negative", "Mass", "splits.mass.labels: positive and negative are both 'Mass'"),
        (f"{_OPTIMIZER}/nesterov", True, "fine_tune.optimizer: momentum and nesterov belong to sgd, not to adam"),
        (f"{_OPTIMIZER}/momentum", 0.9, "fine_tune.optimizer: momentum and nesterov belong to sgd, not to adam"),
        (f"{_OPTIMIZER}/weight_decay", 0.1, "fine_tune.optimizer: weight_decay belongs to adamw, not to adam"),
        (
            _OPTIMIZER,
            {"name": "sgd", "learning_rate": 0.1, "beta_1": 0.5},
            "fine_tune.optimizer: beta_1 belongs to adam and adamw, not to sgd",
        ),
        (
            _OPTIMIZER,
            {"name": "sgd", "learning_rate": 0.1, "schedule": "cosine", "decay": 0.1},
            "fine_tune.optimizer: schedule: cosine and decay are two schedules",
        ),
        (
            f"{_MODEL}/preprocess",
            "imagenet",
            "experiments.small.model: backbone: compact has no preprocess: imagenet",
        ),
        (
            _MODEL,
            {"backbone": "vgg16", "normalise": "standardise", "preprocess": "imagenet"},
            "experiments.small.model: preprocess: imagenet expects 0-255",
        ),
    ],
)
def test_a_wrong_value_is_refused_with_its_place_what_was_found_and_what_is_allowed(
    place: str, value: object, says: str
) -> None:
    with pytest.raises(ParamsError) as refusal:
        params.parse(_changed(place, value), "params.yaml")
    assert says in refusal.value.found
    assert all(line.strip().startswith("params.yaml: ") for line in refusal.value.found.splitlines())
    assert "src/glassbox/params/" in refusal.value.expected
    assert "glassbox use PROFILE" in refusal.value.action


def test_only_the_wrong_place_is_named() -> None:
    values = _changed(f"{_OPTIMIZER}/nesterov", True)
    with pytest.raises(ParamsError) as refusal:
        params.parse(values, "params.yaml")
    assert refusal.value.found == (
        "params.yaml: experiments.small.fine_tune.optimizer: momentum and nesterov belong to sgd, not to adam"
    )


def test_every_wrong_place_is_named_at_once() -> None:
    values = _changed("sources/films/size", "big")
    values["datasets"]["films_32"]["size"] = 5000
    values["splits"]["mass"]["seed"] = -1
    with pytest.raises(ParamsError) as refusal:
        params.parse(values, "params.yaml")
    assert re.findall(r"params\.yaml: ([\w.]+):", refusal.value.found) == [
        *("sources.films.size", "datasets.films_32.size", "splits.mass.seed")
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [("", "found None"), ("- a\n- b\n", "found ['a', 'b']"), ("demo", "found 'demo'"), ("a: [1", "is no YAML")],
)
def test_a_file_that_holds_no_mapping_is_refused(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(ParamsError) as refusal:
        params.load(path)
    assert refusal.value.found.startswith(str(path))
    assert says in refusal.value.found


def test_a_missing_file_is_refused_with_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(ParamsError) as refusal:
        params.load(tmp_path / "params.yaml")
    assert str(refusal.value) == (
        f"{tmp_path / 'params.yaml'} is not there\n"
        "  expected: the composed parameters in the project's root\n"
        "  next: run `glassbox use demo`"
    )


def test_a_file_of_valid_parameters_is_read(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(_VALID))
    assert params.load(path) == params.parse(_VALID, "")
