"""What params.yaml may say: a stage reads its own block; all of it is held together before any work starts."""

from __future__ import annotations

import builders
import pytest
import yaml
from pydantic import ValidationError

from glassbox.params.datasets import Dataset
from glassbox.params.document import checked, load
from glassbox.params.experiments import PHASES, Experiment
from glassbox.params.read import ParamsError, block
from glassbox.params.sources import AnySource, PhantomSource
from glassbox.params.splits import Split
from glassbox.params.weights import Weights
from glassbox.paths import PARAMS

ABSENT = object()


def valid(changes):
    """Parameters with every kind of block and a grid, but for some places: `splits.squares.seed`."""
    named = {"experiment": "small", "split": "squares", "weights": "kept"}
    cells = {"images": [2, 8], "all_but_last": [0, 1], "epochs": 5, "steps_per_epoch": 100, "choices": 2}
    choice = {"file": "data/choices/mine.json", "rank": 2}
    films = {"kind": "phantom", "layout": "nih", "seed": 2, "patients": 3, "size": 32, "first_patient": 500}
    compact = {"backbone": "compact", "size": 32, "epochs": 1, "batch_size": 4, "learning_rate": 0.1, "seed": 1}
    values = builders.document(
        weights={
            "vgg": {"kind": "imagenet", "backbone": "vgg16"},
            "kept": {"kind": "file", "backbone": "compact", "path": "kept.weights.h5", "sha256": "1" * 64},
            "made": {"kind": "pretraining", "films": films, **compact},
        },
        experiments={
            "small": builders.experiment(weights="kept"),
            "chosen": builders.experiment(weights="kept", choice=choice),
        },
        grids={"mine": named | cells},
    )
    values["sources"]["disk"] = {"kind": "archive", "layout": "nih", "path": "a.zip", "sha256": "0" * 64}
    values["sources"]["web"] = {"kind": "kaggle", "layout": "nih", "ref": "nih-chest-xrays/data", "version": 3}
    values["withdrawn"] |= {"disk": [], "web": []}
    values["datasets"]["disk_32"] = {"source": "disk", "size": 32}
    for place, value in changes.items():
        *above, last = place.split(".")
        inner = values
        for key in above:
            inner = inner.setdefault(key, {})
        if value is ABSENT:
            del inner[last]
        else:
            inner[last] = value
    return values


def refusal(changes):
    """What `checked` says of valid parameters but for some places, one line a place."""
    with pytest.raises(ParamsError) as refused:
        checked(valid(changes), "params.yaml")
    assert "src/glassbox/params/" in refused.value.expected
    return refused.value.found.splitlines()


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Writes parameters into the working directory."""
    monkeypatch.chdir(tmp_path)

    def write(**changes):
        PARAMS.write_text(yaml.safe_dump(valid(changes)))

    return write


def test_a_whole_file_is_read_and_cannot_be_changed_afterwards(project):
    project()
    params = load()
    assert params == checked(valid({}), "elsewhere")
    with pytest.raises(ValidationError):
        params.datasets["films_32"].size = 64
    assert params.experiments["small"].training.threads == 2


# --- the block of a stage ----------------------------------------------------------------------------------


def test_a_typo_elsewhere_in_the_file_does_not_stop_a_stage(project):
    typos = {"sources.disk.sha265": "0", "experiments.small.fine_tune.epochs": "many", "splitz": {}}
    project(**typos)
    films = block("sources", "films", AnySource)
    assert isinstance(films, PhantomSource)
    assert films.patients == 50
    with pytest.raises(ParamsError) as refused:
        load()
    for place in typos:
        assert f"params.yaml: {place}: " in refused.value.found


@pytest.mark.parametrize(
    ("found", "kind", "inside", "allowed"),
    [
        ("datasets.films_32", Dataset, "", "source, size, method, shard_images, rejected_share"),
        ("sources.films", AnySource, "", "kind, seed, patients, first_patient, size, prevalence"),
        ("sources.web", AnySource, "", "kind, ref, version"),
        ("weights.none", Weights, "", "kind"),
        ("weights.kept", Weights, "", "kind, backbone, top, path, sha256"),
        ("weights.made", Weights, ".films", "first_patient, size, prevalence"),
        ("splits.squares", Split, ".labels", "task, positive, negative"),
        ("experiments.small", Experiment, ".fine_tune.optimizer", "name, learning_rate, schedule"),
    ],
)
def test_an_unknown_key_is_named_with_its_place_and_the_keys_of_that_kind(found, kind, inside, allowed, project):
    place = f"{found}{inside}.sise"
    project(**{place: 1})
    with pytest.raises(ParamsError) as refused:
        block(*found.split("."), kind)
    (line,) = refused.value.found.splitlines()
    assert line.startswith(f"params.yaml: {place}: unknown key; allowed here: ")
    assert allowed in line


@pytest.mark.parametrize(
    ("found", "kind", "inside", "known"),
    [
        ("sources.films", AnySource, "kind", "archive, kaggle, phantom"),
        ("weights.made", Weights, "kind", "file, imagenet, none, pretraining"),
        ("splits.squares", Split, "labels.task", "binary, multi_label, single_label"),
    ],
)
def test_a_kind_that_does_not_exist_is_named_with_those_that_do(found, kind, inside, known, project):
    place = f"{found}.{inside}"
    for value, said in (("fiel", "found 'fiel'"), (ABSENT, "missing")):
        project(**{place: value})
        with pytest.raises(ParamsError) as refused:
            block(*found.split("."), kind)
        assert refused.value.found == f"params.yaml: {place}: {said}; allowed here: {known}"


def test_an_unknown_name_is_refused_with_the_known_ones(project):
    project(splits={})
    with pytest.raises(
        ParamsError, match=r"^params\.yaml has no sources\.flims\n  expected: one of: disk, films, web\n"
    ):
        block("sources", "flims", AnySource)
    with pytest.raises(ParamsError, match="one of: none"):
        block("splits", "squares", Split)


@pytest.mark.parametrize("text", [None, "", "- a\n- b\n", "demo", "a: [1"])
def test_a_file_that_is_missing_or_no_mapping_is_refused_by_its_name(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if text is not None:
        PARAMS.write_text(text)
    for read in (load, lambda: block("sources", "films", AnySource)):
        with pytest.raises(ParamsError, match=r"^params\.yaml[\s\S]*glassbox use "):
            read()


# --- the whole ---------------------------------------------------------------------------------------------

SMALL = "experiments.small"
PHASE = f"{SMALL}.fine_tune"
ALL_BUT = "all_but_batch_normalisation, or {first: integer above 0}, or {all_but_last: integer at least 0}"


@pytest.mark.parametrize(
    ("place", "value", "allowed"),
    [
        ("sources.films.size", 16, "integer at least 32 and at most 4096"),
        ("sources.films.prevalence.Mass", 1.5, "number at least 0.0 and at most 1.0"),
        ("sources.disk.sha256", "ABC", "string like ^[0-9a-f]{64}$"),
        ("splits.squares.balance", "most", "integer above 0, or largest, smallest, none"),
        ("splits.squares.validation", 1, "number above 0.0 and below 1.0, or test"),
        ("weights.vgg.backbone", "vgg17", "vgg16, resnet50, inceptionv3"),
        (f"{SMALL}.training.images", "all", "integer above 0, or null"),
        (f"{SMALL}.training.seed", ABSENT, "integer at least 0"),
        (f"{PHASE}.optimizer.learning_rate", 0, "number above 0"),
        (f"{PHASE}.early_stopping", True, "{patience, below}, or null"),
        (f"{PHASE}.freeze", "all", f"nothing, everything, {ALL_BUT}"),
        (f"{PHASE}.freeze", {"last": 2}, f"nothing, everything, {ALL_BUT}"),
        (f"{PHASE}.freeze", {"first": 0}, f"nothing, everything, {ALL_BUT}"),
    ],
)
def test_a_wrong_value_is_one_line_with_its_place_and_what_is_allowed(place, value, allowed):
    said = "missing" if value is ABSENT else f"found {value!r}"
    assert refusal({place: value}) == [f"params.yaml: {place}: {said}; allowed here: {allowed}"]


def test_an_item_of_a_list_is_named_by_its_position():
    (line,) = refusal({f"{SMALL}.model.dense": [4, 0]})
    assert line == f"params.yaml: {SMALL}.model.dense.1: found 0; allowed here: integer above 0"


@pytest.mark.parametrize(
    ("place", "value", "says"),
    [
        ("sources.disk.layout", "nhi", "there are: kermany, nih"),
        ("grids.mine.all_but_last", [1, 1], "a number is named twice"),
        ("grids.mine.images", [], "one number at least"),
    ],
)
def test_a_value_that_a_check_of_ours_refuses_is_named_with_its_place(place, value, says):
    (line,) = refusal({place: value})
    assert line.startswith(f"params.yaml: {place}: found {value!r}: ")
    assert says in line


def test_every_wrong_place_is_named_at_once():
    wrong = {"sources.films.size": 16, "sources.disk.sha256": ABSENT, "datasets.films_32.sise": 1, "profile": 3}
    assert {line.strip().split(": ")[1] for line in refusal(wrong)} == set(wrong)


@pytest.mark.parametrize("key", ["a b", "..", "", "a/b"])
def test_a_key_that_cannot_be_part_of_a_path_is_refused(key):
    values = valid({})
    values["datasets"][key] = values["datasets"]["films_32"]
    with pytest.raises(ParamsError, match=r"params\.yaml: datasets\."):
        checked(values, "params.yaml")


@pytest.mark.parametrize(
    ("place", "known"),
    [
        ("datasets.films_32.source", "disk, films, web"),
        ("splits.squares.dataset", "disk_32, films_32"),
        ("experiments.small.split", "squares"),
        ("experiments.small.weights", "kept, made, none, vgg"),
        ("experiments.chosen.choice.file", "conf/choice/none.json, data/choices/mine.json"),
        ("grids.mine.experiment", "chosen, small"),
    ],
)
def test_a_name_of_nothing_is_refused_with_the_names_there_are(place, known):
    assert refusal({place: "x"}) == [f"params.yaml: {place} names 'x'; there are: {known}"]


VGG = {"backbone": "vgg16", "normalise": "minmax"}
RANDOM = dict.fromkeys((f"{SMALL}.weights", "grids.mine.weights"), "none")
BINARY = {"task": "binary", "positive": "Mass"}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"experiments.splits": builders.experiment()}, "experiments.splits: the name is taken"),
        ({"splits.squares.dataset": "disk_32"}, "dataset 'disk_32' is of source 'disk', the split of 'films'"),
        ({"grids.mine.split": "x"}, "grids.mine.split is 'x'; experiments.small has 'squares'"),
        ({"grids.mine.weights": "none"}, "grids.mine.weights is 'none'; experiments.small has 'kept'"),
        ({"grids.mine.choices": 5}, "grids.mine: choices is 5; images and all_but_last make 4 cells"),
        ({"experiments.chosen.choice.rank": 3}, "experiments.chosen.choice.rank is 3; grids.mine.choices is 2"),
        (RANDOM, "a frozen random backbone learns nothing; name weights of kind pretraining, file or imagenet"),
        ({f"{SMALL}.weights": "vgg"}, "weights 'vgg' have backbone: vgg16, its model has backbone: compact"),
        ({"weights.kept.top": True}, "weights 'kept' have top: true, its model has top: false"),
        (
            {"weights.made.films.seed": 1, "weights.made.films.first_patient": 49},
            "weights.made.films has patients 49 to 50 of sources.films",
        ),
        ({f"{SMALL}.model.top": True}, "has no classification layers that fit any size"),
        ({f"{SMALL}.model": VGG | {"momentum": 0.9}}, "vgg16 has no batch normalisation"),
        ({f"{SMALL}.model.preprocess": "imagenet"}, "preprocess: imagenet expects 0-255"),
        ({f"{SMALL}.model": VGG | {"backbone": "compact", "preprocess": "imagenet"}}, "compact has no preprocess"),
        ({f"{PHASE}.optimizer.nesterov": True}, "momentum and nesterov belong to sgd, not to adam"),
        ({f"{PHASE}.optimizer.weight_decay": 0.1}, "weight_decay belongs to adamw, not to adam"),
        ({f"{PHASE}.optimizer": {"name": "sgd", "learning_rate": 0.1, "beta_1": 0.5}}, "beta_1 belongs to adam"),
        ({f"{PHASE}.optimizer.decay": 0.1, f"{PHASE}.optimizer.schedule": "cosine"}, "are two schedules"),
        ({"splits.squares.labels": BINARY | {"negative": "Mass"}}, "are both 'Mass'"),
    ],
)
def test_what_does_not_go_together_is_refused_with_both_sides(changes, says):
    assert any(says in line for line in refusal(changes))


BY_IMAGE = {"procedure": "by_image", "balance": "none"}
BY_ROW = {"procedure": "rows_with_replacement", "balance": "none", "rows_a_class": 100}


@pytest.mark.parametrize(
    ("changes", "fits"),
    [
        ({"sample": 10}, True),
        (BY_IMAGE, True),
        (BY_IMAGE | {"official_test": True}, False),
        ({"rows_a_class": 100}, False),
        (BY_ROW | {"validation": "test"}, True),
        (BY_ROW | {"official_test": True}, False),
        (BY_ROW | {"rows_a_class": None}, False),
        (BY_ROW | {"balance": "largest"}, False),
        (BY_ROW | {"sample": 50}, False),
    ],
)
def test_a_procedure_is_refused_with_settings_that_another_one_needs(changes, fits):
    changes = {f"splits.squares.{key}": value for key, value in changes.items()}
    if fits:
        checked(valid(changes), "params.yaml")
    else:
        assert [line[:29] for line in refusal(changes)] == ["params.yaml: splits.squares: "]


def asked(labels, *losses):
    """Another task, with a loss a phase."""
    changed = {"splits.squares.labels": labels, "splits.squares.balance": "none"}
    for name in ("small", "chosen"):
        changed |= {f"experiments.{name}.{phase}.loss": loss for phase, loss in zip(PHASES, losses, strict=True)}
    return changed


@pytest.mark.parametrize(
    ("labels", "fits", "other"),
    [
        ({"task": "single_label", "several": "first"}, "categorical_crossentropy", "binary_crossentropy"),
        ({"task": "multi_label"}, "binary_crossentropy", "categorical_crossentropy"),
    ],
)
def test_a_loss_that_does_not_fit_the_head_is_refused_in_either_phase(labels, fits, other):
    checked(valid(asked(labels, fits, fits)), "params.yaml")
    for phase, losses in zip(PHASES, ((other, fits), (fits, other)), strict=True):
        (line,) = refusal(asked(labels, *losses))
        assert (
            f".{phase}.loss is {other}; split 'squares' asks for {labels['task']}, whose head needs {fits}" in line
        )


def test_images_of_many_labels_are_neither_balanced_nor_weighed_by_class():
    many = asked({"task": "multi_label"}, "binary_crossentropy", "binary_crossentropy")
    assert "splits.squares: balance" in refusal(many | {"splits.squares.balance": "largest"})[0]
    assert "class_weight" in refusal(many | {f"{SMALL}.training.class_weight": "balanced"})[0]
