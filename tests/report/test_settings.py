import typing

import builders
import finished
from builders import phase

from glassbox.params.splits import Procedure
from glassbox.report import settings
from glassbox.report.results import Result


def shown(values):
    """Name -> the values of every setting, those of `vgg` first."""
    params = builders.resolve(values)
    groups = settings.groups([Result.read(experiment) for experiment in params.experiments])
    return {setting.name: setting.values for group in groups.values() for setting in group}


def changed(values, **changes):
    """The settings with other blocks of `vgg`."""
    values["experiments"]["vgg"] |= changes
    return shown(values)


def test_a_parameter_is_shown_by_its_name_in_its_block_with_a_dash_where_it_is_lacking(values):
    optimizer = {"name": "sgd", "learning_rate": 0.01, "momentum": 0.9}
    found = changed(values, fine_tune=phase(freeze={"first": 10}, optimizer=optimizer))
    assert found["training.batch_size"] == ("16", "64")
    assert found["fine_tune.optimizer.momentum"] == ("0.9", "0.0")
    assert found["fine_tune.freeze"] == ("\N{EN DASH}", "nothing")
    assert found["fine_tune.freeze.first"] == ("10", "\N{EN DASH}")
    assert found["split"] == ("squares", "squares")
    assert found["split.labels.positive"] == ("Mass", "Mass")
    assert found["dataset.size"] == ("32", "32")
    assert found["source.patients"] == ("50", "50")
    assert found["weights.films.patients"] == ("50", "50")


def test_a_parameter_that_nobody_sets_away_from_its_default_is_left_out(values):
    assert "training.precision" not in shown(values)
    training = {"seed": 4, "batch_size": 16, "precision": "mixed_bfloat16"}
    assert changed(values, training=training)["training.precision"] == ("mixed_bfloat16", "float32")


def test_the_settings_are_those_that_an_experiment_ran_with(values):
    assert values["experiments"]["vgg"]["warm_start"]["freeze"] == "everything"
    assert changed(values, weights="none")["warm_start.freeze"] == ("nothing", "everything")


def test_the_page_says_no_path_of_this_machine(values):
    films = {"kind": "archive", "layout": "nih", "path": "/elsewhere/films.zip", "sha256": "a" * 64}
    values["sources"]["films"] = films
    found = shown(values)
    assert found["source.sha256"] == ("a" * 64, "a" * 64)
    assert "source.path" not in found


def test_a_group_begins_with_the_name_of_its_block(values):
    builders.resolve(values)
    groups = settings.groups([Result.read("vgg")])
    assert (groups["split"][0].name, groups["weights"][0].name) == ("split", "weights")
    titles = ["Folds", "split", "weights", "dataset", "source", "model", "augmentation", "training"]
    assert list(groups) == [*titles, "warm_start", "fine_tune", "evaluation", "Kind of machine"]


def test_a_leaking_procedure_is_said_to_leak(values, make):
    assert shown(values)["Procedure"][0] == "by patient: nobody is in two folds"
    values["splits"]["squares"] |= {"procedure": "by_image", "validation": "test"}
    make.split("squares", train_test={"patients": 7})
    found = shown(values)
    said = "by image, which leaks: images of one patient fall to several folds"
    assert found["Procedure"][0] == f"{said}; the validation fold is the test fold, which leaks"
    assert found["Shared by folds"][0] == "train and test share 7 patients"


def test_every_procedure_has_words():
    assert set(settings.PROCEDURES) == set(typing.get_args(Procedure))


def test_the_test_fold_and_the_kind_of_machine_stand_among_the_settings(values, make):
    make.evaluated("resnet", trained_on=finished.MACHINE | {"gpu": "1 x NVIDIA H200"})
    found = shown(values)
    assert found["Shared by folds"] == ("no patient, image or file",) * 2
    assert (found["Test images"][0], found["Test patients"][0]) == ("200", "90")
    assert found["Majority classifier"][0] == "0.500 accuracy"
    assert found["gpu"] == ("none", "1 x NVIDIA H200")
    assert found["vector extensions"][0] == "avx avx2 fma"
