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
    "freeze": "everything",
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
            "labels": {"task": "binary", "positive": "Mass"},
            "official_test": True,
            "validation": 0.1,
            "balance": "none",
            "seed": 1,
        }
    },
    "weights": {
        "none": {"kind": "none"},
        "vgg": {"kind": "imagenet", "backbone": "vgg16"},
        "kept": {"kind": "file", "backbone": "compact", "path": "kept.weights.h5", "sha256": "1" * 64},
    },
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
            (
                "experimets: unknown key; allowed here: profile, sources, datasets, splits, weights, experiments, "
                "grids, rows"
            ),
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
        (
            "splits/mass/labels/task",
            _ABSENT,
            "splits.mass.labels: found {'positive': 'Mass'}: Unable to extract tag",
        ),
        ("splits/mass/labels", {"task": "single_label"}, "splits.mass.labels.several: missing"),
        (
            "splits/mass/labels",
            {"task": "multi_label", "several": "first"},
            "splits.mass.labels.several: unknown key; allowed here: task",
        ),
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
        (
            "experiments/small/fine_tune/freeze",
            {"all_but_last": -1},
            "fine_tune.freeze.all_but_last: found -1: Input should be greater than or equal to 0",
        ),
        ("experiments/small/fine_tune/steps_per_epoch", 0, "fine_tune.steps_per_epoch: found 0: Input should be"),
        (
            "experiments/small/fine_tune/early_stopping",
            {"patience": 2, "below": 0.0},
            "fine_tune.early_stopping.below: found 0.0: Input should be greater than 0",
        ),
        (f"{_MODEL}/momentum", 1.0, "experiments.small.model.momentum: found 1.0: Input should be less than 1"),
        ("experiments/small/augmentation/brightness", 1.0, "augmentation.brightness: found 1.0: Input should be"),
        ("experiments/small/augmentation/edges", 1.5, "augmentation.edges: found 1.5: Input should be less than"),
        ("splits/mass/rows_a_class", 0, "splits.mass.rows_a_class: found 0: Input should be greater than 0"),
        ("experiments/small/evaluation/resamples", 10, "evaluation.resamples: found 10: Input should be greater"),
        # A value that is none of a list.
        (
            "sources/films/kind",
            "kagle",
            "'kagle' found using 'kind' does not match any of the expected tags: 'phantom'",
        ),
        ("sources/films/layout", "kermany", "sources.films.layout: found 'kermany': Input should be 'nih'"),
        (
            "splits/mass/labels/task",
            "ternary",
            (
                "splits.mass.labels: found {'task': 'ternary', 'positive': 'Mass'}: Input tag 'ternary' found "
                "using 'task' does not match any of the expected tags: 'binary', 'single_label', 'multi_label'"
            ),
        ),
        (
            "splits/mass/labels",
            {"task": "single_label", "several": "last"},
            "splits.mass.labels.several: found 'last': Input should be 'first' or 'left_out'",
        ),
        (
            "splits/mass/procedure",
            "by_row",
            "found 'by_row': Input should be 'by_patient', 'by_image' or 'rows_with_replacement'",
        ),
        ("splits/mass/validation", "train", "splits.mass.validation: found 'train': Input should be 'test'"),
        (
            "experiments/small/fine_tune/freeze",
            {"last": 2},
            "fine_tune.freeze.all_but_last: missing",
        ),
        (
            f"{_MODEL}/output_weights",
            "zeros",
            "found 'zeros': Input should be 'glorot_uniform' or 'random_uniform'",
        ),
        (
            "experiments/small/training/class_weight",
            "inverse",
            "training.class_weight: found 'inverse': Input should be 'none' or 'balanced'",
        ),
        (
            "splits/mass/balance",
            "most",
            "splits.mass.balance: found 'most': Input should be 'largest', 'smallest' or",
        ),
        (
            "weights/vgg/backbone",
            "vgg17",
            "weights.vgg.backbone: found 'vgg17': Input should be 'vgg16', 'resnet50' or 'inceptionv3'",
        ),
        (
            f"{_MODEL}/backbone",
            "vgg17",
            "found 'vgg17': Input should be 'compact', 'vgg16', 'resnet50' or 'inceptionv3'",
        ),
        (
            "experiments/small/fine_tune/freeze",
            "all",
            "fine_tune.freeze: found 'all': Input should be 'nothing', 'everything' or 'all_but_batch_nor",
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
        ("experiments/grids", _VALID["experiments"]["small"], "experiments.grids: the name is taken"),
        # A name that does not exist.
        ("datasets/films_32/source", "x", "datasets.films_32.source names 'x'; there are: disk, films, web"),
        ("splits/mass/dataset", "x", "splits.mass.dataset names 'x'; there are: disk_32, films_32"),
        ("experiments/small/dataset", "x", "experiments.small.dataset names 'x'; there are: disk_32, films_32"),
        ("experiments/small/split", "x", "experiments.small.split names 'x'; there are: mass"),
        ("experiments/small/weights", "x", "experiments.small.weights names 'x'; there are: kept, none, vgg"),
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
            "experiments.small: weights 'vgg' have backbone: vgg16, its model has backbone: compact",
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
            f"{_MODEL}/top",
            True,
            (
                "experiments.small.model: backbone: compact has no classification layers that fit any size; top "
                "is for resnet50 and inceptionv3"
            ),
        ),
        (
            _MODEL,
            {"backbone": "vgg16", "normalise": "minmax", "top": True},
            "experiments.small.model: backbone: vgg16 has no classification layers that fit any size",
        ),
        (
            _MODEL,
            {"backbone": "vgg16", "normalise": "minmax", "momentum": 0.9},
            "experiments.small.model: backbone: vgg16 has no batch normalisation whose momentum could be set",
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


# --- procedures that leak ----------------------------------------------------------------------------------

_BY_IMAGE = {"procedure": "by_image", "official_test": False, "test": 0.1}
_BY_ROW = {"procedure": "rows_with_replacement", "official_test": False, "test": 0.1, "rows_a_class": 100}


def _with_split(changes: dict[str, Any]) -> dict[str, Any]:
    values = copy.deepcopy(_VALID)
    values["splits"]["mass"] |= changes
    return values


@pytest.mark.parametrize("changes", [{}, _BY_IMAGE, _BY_ROW, _BY_ROW | {"validation": "test"}, {"sample": 10}])
def test_every_procedure_can_be_named(changes: dict[str, Any]) -> None:
    split = params.parse(_with_split(changes), "").splits["mass"]
    assert split.procedure == changes.get("procedure", "by_patient")
    assert split.validation == changes.get("validation", 0.1)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (_BY_IMAGE | {"official_test": True}, "procedure: by_image cuts its own test fold; set official_test to"),
        (_BY_ROW | {"official_test": True}, "procedure: rows_with_replacement cuts its own test fold; set offic"),
        (_BY_ROW | {"rows_a_class": None}, "rows_a_class belongs to procedure: rows_with_replacement, which need"),
        ({"rows_a_class": 100}, "rows_a_class belongs to procedure: rows_with_replacement, which needs it"),
        (_BY_IMAGE | {"rows_a_class": 100}, "rows_a_class belongs to procedure: rows_with_replacement, which nee"),
        (_BY_ROW | {"balance": "largest"}, "procedure: rows_with_replacement balances by drawing rows; set balan"),
        (_BY_ROW | {"sample": 50}, "procedure: rows_with_replacement balances by drawing rows; set balance to no"),
    ],
)
def test_a_procedure_is_refused_with_settings_that_another_one_needs(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ParamsError) as refusal:
        params.parse(_with_split(changes), "params.yaml")
    assert refusal.value.found.startswith(f"params.yaml: splits.mass: {says}")
    assert len(refusal.value.found.splitlines()) == 1


# --- tasks and losses --------------------------------------------------------------------------------------

_LABELS: dict[str, dict[str, str]] = {
    "binary": {"task": "binary", "positive": "Mass"},
    "single_label": {"task": "single_label", "several": "first"},
    "multi_label": {"task": "multi_label"},
}


def _with_task(task: str, warm_start: str, fine_tune: str) -> dict[str, Any]:
    values = _with_split({"labels": _LABELS[task]})
    values["experiments"]["small"]["warm_start"]["loss"] = warm_start
    values["experiments"]["small"]["fine_tune"]["loss"] = fine_tune
    return values


@pytest.mark.parametrize(
    ("task", "warm_start", "fine_tune"),
    [
        ("single_label", "categorical_crossentropy", "categorical_crossentropy"),
        ("multi_label", "binary_crossentropy", "binary_crossentropy"),
        # The article of 2018 changes its loss between the phases.
        ("binary", "categorical_crossentropy", "binary_crossentropy"),
    ],
)
def test_every_task_takes_the_losses_of_its_head(task: str, warm_start: str, fine_tune: str) -> None:
    parsed = params.parse(_with_task(task, warm_start, fine_tune), "")
    assert parsed.splits["mass"].labels.task == task


@pytest.mark.parametrize(
    ("task", "wanted", "other"),
    [
        ("single_label", "categorical_crossentropy", "binary_crossentropy"),
        ("multi_label", "binary_crossentropy", "categorical_crossentropy"),
    ],
)
@pytest.mark.parametrize("phase", params.PHASES)
def test_a_loss_that_does_not_fit_the_head_is_refused_in_either_phase(
    task: str, wanted: str, other: str, phase: str
) -> None:
    with pytest.raises(ParamsError) as refusal:
        params.parse(_with_task(task, **{"warm_start": wanted, "fine_tune": wanted, phase: other}), "params.yaml")
    assert refusal.value.found == (
        f"params.yaml: experiments.small.{phase}.loss is {other}; split 'mass' asks for {task}, whose head needs "
        f"{wanted}"
    )


def test_images_of_many_labels_are_neither_balanced_nor_weighed_by_class() -> None:
    values = _with_task("multi_label", "binary_crossentropy", "binary_crossentropy")
    values["splits"]["mass"]["balance"] = "largest"
    with pytest.raises(
        ParamsError, match=r"splits\.mass: balance shows each class equally often.* set it to none"
    ):
        params.parse(values, "params.yaml")
    values["splits"]["mass"]["balance"] = "none"
    values["experiments"]["small"]["training"]["class_weight"] = "balanced"
    with pytest.raises(
        ParamsError, match=r"class_weight weighs an image by its one class; split 'mass' asks for mu"
    ):
        params.parse(values, "params.yaml")
    values["splits"]["mass"]["labels"] = _LABELS["binary"]
    assert params.parse(values, "").experiments["small"].training.class_weight == "balanced"


# --- initial weights and what they do to freezing -----------------------------------------------------------


def _with_weights(model: dict[str, Any], weights: dict[str, Any]) -> dict[str, Any]:
    values = _changed("weights/mine", weights)
    values["experiments"]["small"] |= {"weights": "mine", "model": {"normalise": "none"} | model}
    return values


@pytest.mark.parametrize("top", [False, True])
def test_weights_must_have_the_classification_layers_that_the_model_keeps(top: bool) -> None:
    model = {"backbone": "resnet50", "top": top}
    weights = {"kind": "imagenet", "backbone": "resnet50", "top": top}
    parsed = params.parse(_with_weights(model, weights), "")
    assert parsed.experiments["small"].model.top is top
    found, wanted = str(not top).lower(), str(top).lower()
    with pytest.raises(ParamsError) as refusal:
        params.parse(_with_weights(model, weights | {"top": not top}), "params.yaml")
    assert refusal.value.found == (
        f"params.yaml: experiments.small: weights 'mine' have top: {found}, its model has top: {wanted}"
    )


def test_random_weights_fit_any_model() -> None:
    for model in ({"backbone": "resnet50", "top": True}, {"backbone": "inceptionv3"}):
        params.parse(_with_weights(model, {"kind": "none"}), "")


_FREEZES: list[Any] = ["everything", "all_but_batch_normalisation", {"first": 2}, {"all_but_last": 0}]


@pytest.mark.parametrize("freeze", _FREEZES)
def test_a_phase_from_trained_weights_freezes_as_it_says(freeze: object) -> None:
    values = _changed("experiments/small/fine_tune/freeze", freeze)
    values["experiments"]["small"]["weights"] = "kept"
    parsed = params.parse(values, "")
    assert parsed.phase("small", "fine_tune") == parsed.experiments["small"].fine_tune
    assert parsed.phase("small", "warm_start").freeze == "everything"
    assert parsed.departures("small") == []


@pytest.mark.parametrize("freeze", _FREEZES)
def test_a_phase_from_random_weights_freezes_nothing_and_is_otherwise_as_it_says(freeze: object) -> None:
    parsed = params.parse(_changed("experiments/small/fine_tune/freeze", freeze), "")
    settings = parsed.experiments["small"].fine_tune
    phase = parsed.phase("small", "fine_tune")
    assert phase.freeze == "nothing"
    assert settings.freeze != "nothing"
    assert phase.model_copy(update={"freeze": settings.freeze}) == settings


def _thawed(phase: str) -> str:
    return f"Weights are random, so nothing is frozen in the {phase}: a frozen random backbone learns nothing."


def test_a_thaw_is_a_departure_after_those_of_the_recipe() -> None:
    parsed = params.parse(_changed("experiments/small/departures", ["A film has 32 px.", "No ink."]), "")
    assert parsed.experiments["small"].departures == ("A film has 32 px.", "No ink.")
    assert parsed.departures("small") == [
        *("A film has 32 px.", "No ink."),
        *(_thawed("warm-start"), _thawed("fine-tune")),
    ]


def test_a_phase_that_does_not_run_or_freezes_nothing_departs_from_nothing() -> None:
    values = _changed("experiments/small/warm_start/epochs", 0)
    assert params.parse(values, "").departures("small") == [_thawed("fine-tune")]
    assert params.parse(values, "").phase("small", "warm_start").freeze == "everything"
    values["experiments"]["small"]["fine_tune"] = _PHASE | {"freeze": "nothing"}
    assert params.parse(values, "").departures("small") == []


# --- grids and what they choose -----------------------------------------------------------------------------


def _with_grid(place: str = "", value: object = None) -> dict[str, Any]:
    """Valid parameters with a grid of two rows, whose first choice an experiment takes; but for one place."""
    values = _changed("experiments/chosen", copy.deepcopy(_VALID["experiments"]["small"]))
    for experiment in values["experiments"].values():
        experiment["weights"] = "kept"
    values["experiments"]["chosen"]["choice"] = {"file": "data/choices/mine.json", "rank": 1}
    values["grids"] = {"mine": {"experiment": "small", "epochs": 5, "steps_per_epoch": 100, "choices": 2}}
    named = {"grid": "mine", "experiment": "small", "dataset": "films_32", "split": "mass", "weights": "kept"}
    values["rows"] = {
        "few": named | {"images": 2, "all_but_last": [0, 1]},
        "many": named | {"images": 8, "all_but_last": [0, 1]},
    }
    if place:
        *above, last = place.split("/")
        block: Any = values
        for key in above:
            block = block[key]
        block[last] = value
    return values


def test_without_grids_every_experiment_has_its_own_settings() -> None:
    parsed = params.parse(_VALID, "")
    assert (parsed.grids, parsed.rows) == ({}, {})
    assert parsed.experiments["small"].choice == params.Choice(file=params.NO_CHOICE, rank=1)
    assert parsed.experiments["small"].training.images is None
    assert (ROOT / params.NO_CHOICE).read_text() == "[]\n"


def test_a_grid_has_rows_and_an_experiment_may_take_what_it_chooses() -> None:
    parsed = params.parse(_with_grid(), "")
    assert parsed.rows["few"].all_but_last == (0, 1)
    assert parsed.experiments["chosen"].choice.file == Path("data/choices/mine.json")


def test_a_cell_of_a_grid_is_the_images_and_the_frozen_layers_of_one_experiment() -> None:
    parsed = params.parse(_with_grid(), "")
    of_cell = parsed.with_cell("small", 8, 1)
    assert of_cell.experiments["small"].training.images == 8
    assert of_cell.phase("small", "fine_tune").freeze == params.AllButLastLayers(all_but_last=1)
    assert of_cell.phase("small", "warm_start") == parsed.phase("small", "warm_start")
    assert of_cell.experiments["chosen"] == parsed.experiments["chosen"]
    assert parsed.experiments["small"].training.images is None


@pytest.mark.parametrize(
    ("place", "value", "says"),
    [
        ("grids/mine/experiment", "x", "grids.mine.experiment names 'x'; there are: chosen, small"),
        ("rows/few/grid", "x", "rows.few.grid names 'x'; there are: mine"),
        ("rows/few/experiment", "chosen", "rows.few.experiment is 'chosen'; grids.mine has 'small'"),
        ("rows/few/dataset", "disk_32", "rows.few.dataset is 'disk_32'; experiments.small has 'films_32'"),
        ("rows/many/split", "x", "rows.many.split is 'x'; experiments.small has 'mass'"),
        ("rows/few/weights", "none", "rows.few.weights is 'none'; experiments.small has 'kept'"),
        ("rows/few/images", 8, "grids.mine: two of its rows have one number of images; join them"),
        ("rows/few/images", 0, "rows.few.images: found 0: Input should be greater than 0"),
        ("rows/few/all_but_last", [], "rows.few.all_but_last: found []: one number at least is needed"),
        ("rows/few/all_but_last", [1, 1], "rows.few.all_but_last: found [1, 1]: a number is named twice"),
        (
            "rows/few/all_but_last",
            [-1],
            "rows.few.all_but_last.0: found -1: Input should be greater than or equal",
        ),
        ("rows", {}, "grids.mine.choices is 2; its rows have 0 cells"),
        ("grids/mine/choices", 5, "grids.mine.choices is 5; its rows have 4 cells"),
        ("grids/mine/epochs", 0, "grids.mine.epochs: found 0: Input should be greater than 0"),
        ("grids/mine/layers", 0, "grids.mine.layers: unknown key; allowed here: experiment, epochs, steps_per_ep"),
        (
            "experiments/small/weights",
            "none",
            (
                "grids.mine: weights 'none' of its experiment are random, and a frozen random backbone learns "
                "nothing; name weights of kind pretraining, file or imagenet"
            ),
        ),
        (
            "experiments/chosen/choice",
            {"file": "data/choices/yours.json"},
            (
                "experiments.chosen.choice.file names 'data/choices/yours.json'; there are: "
                "conf/choice/none.json, data/choices/mine.json"
            ),
        ),
        (
            "experiments/chosen/choice",
            {"file": "data/choices/mine.json", "rank": 3},
            "experiments.chosen.choice.rank is 3; grids.mine.choices is 2",
        ),
        (
            "experiments/chosen/choice",
            {"rank": 0},
            "experiments.chosen.choice.rank: found 0: Input should be great",
        ),
        ("experiments/chosen/training/images", 0, "experiments.chosen.training.images: found 0: Input should be"),
    ],
)
def test_a_grid_that_does_not_fit_is_refused_with_its_place(place: str, value: object, says: str) -> None:
    with pytest.raises(ParamsError) as refusal:
        params.parse(_with_grid(place, value), "params.yaml")
    assert f"params.yaml: {says}" in refusal.value.found
    assert len(refusal.value.found.splitlines()) == 1
