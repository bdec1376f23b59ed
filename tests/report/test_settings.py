import builders
import pytest
from builders import phase

from glassbox.params.splits import Procedure
from glassbox.report import settings
from glassbox.report.results import Result


def shown(values):
    """Name -> value of every setting of the experiment `vgg`, both phases under names of their own."""
    builders.resolve(values)
    groups = settings.groups([Result.read("vgg")])
    return {f"{group.title}: {setting.name}": setting.values[0] for group in groups for setting in group.settings}


def changed(values, **changes):
    """The settings of `vgg` with other blocks."""
    values["experiments"]["vgg"] |= changes
    return shown(values)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ({"task": "binary", "positive": "Infiltration"}, "Infiltration against No Finding"),
        ({"task": "binary", "positive": "Mass", "negative": "rest"}, "Mass against everything else"),
        (
            {"task": "single_label", "several": "first"},
            "which one of 2 classes; of several findings the first listed counts",
        ),
        (
            {"task": "single_label", "several": "left_out"},
            "which one of 2 classes; of several findings the image is left out",
        ),
        ({"task": "multi_label"}, "each of 2 classes: present or not"),
    ],
)
def test_the_question_is_that_of_the_task(values, labels, words):
    values["splits"]["squares"] |= {"labels": labels, "balance": "none"}
    loss = "binary_crossentropy" if labels["task"] == "multi_label" else "categorical_crossentropy"
    for experiment in values["experiments"].values():
        experiment |= {"warm_start": phase(loss=loss), "fine_tune": phase(loss=loss)}
    assert shown(values)["Data: Question"] == words


@pytest.mark.parametrize(
    ("procedure", "words", "validation"),
    [
        ({}, "by patient: nobody is in two folds", "0.3 of the remaining patients"),
        (
            {"procedure": "by_image"},
            "by image, which leaks: images of one patient fall to several folds",
            "0.3 of the remaining images",
        ),
        (
            {
                "procedure": "rows_with_replacement",
                "rows_a_class": 6000,
                "balance": "none",
                "validation": "test",
            },
            (
                "rows with replacement, which leaks: 6,000 rows of each class are drawn, "
                "so that one image falls to several folds"
            ),
            "the test fold once more, which leaks",
        ),
    ],
)
def test_a_procedure_is_named_and_a_leaking_one_is_said_to_leak(values, procedure, words, validation):
    values["splits"]["squares"] |= procedure
    found = shown(values)
    assert found["Data: Procedure"] == words
    assert found["Data: Validation fold"] == validation


def test_every_procedure_of_the_parameters_has_words():
    assert set(settings._UNITS) == set(Procedure.__args__)


def test_what_folds_share_stands_among_the_settings(values, make):
    assert shown(values)["Data: Shared by folds"] == "no patient, image or file"
    make.split("squares", train_test={"patients": 7})
    assert shown(values)["Data: Shared by folds"] == "train and test share 7 patients"


@pytest.mark.parametrize(
    ("freeze", "words"),
    [
        ("nothing", "nothing"),
        ("everything", "the whole backbone"),
        ("all_but_batch_normalisation", "all but batch normalisation"),
        ({"first": 10}, "first 10 layers"),
        ({"all_but_last": 2}, "all but the last 2 layers with parameters"),
        ({"all_but_last": 0}, "the whole backbone"),
    ],
)
def test_every_word_for_what_is_frozen_has_words_on_the_page(values, freeze, words):
    assert changed(values, fine_tune=phase(freeze=freeze))["Fine-tuning: Frozen"] == words


def test_phases_are_shown_as_they_run(values):
    assert values["experiments"]["vgg"]["warm_start"]["freeze"] == "everything"
    assert changed(values, weights="none")["Warm start: Frozen"] == "nothing"


def test_a_phase_of_no_epochs_has_no_settings(values):
    found = changed(values, warm_start=phase(epochs=0))
    assert found["Warm start: Epochs"] == "0"
    assert {value for name, value in found.items() if name.startswith("Warm start")} == {"0", "\N{EN DASH}"}


def test_steps_and_stopping_are_shown(values):
    stopping = {"patience": 2, "below": 0.1}
    found = changed(values, fine_tune=phase(epochs=4, steps_per_epoch=100, early_stopping=stopping))
    assert found["Fine-tuning: Steps an epoch"] == "100"
    assert found["Fine-tuning: Epochs"] == "4 at most, patience 2, or until the validation loss is below 0.1"
    assert found["Warm start: Steps an epoch"] == "all batches"


def test_the_model_and_its_training_are_shown(values):
    plain = shown(values)
    assert plain["Model: Backbone"] == "compact"
    assert plain["Model: Initial weights"] == "2 epochs on generated films of 50 other patients"
    assert plain["Model: ImageNet's 1000-way layer"] == "left out"
    assert plain["Model: Momentum of batch normalisation"] == "the architecture's"
    assert plain["Training: Class weights"] == "none"
    assert plain["Training: Threads"] == "2"
    assert plain["Fine-tuning: Learning rate"] == "0.003"
    model = {
        "backbone": "resnet50",
        "top": True,
        "momentum": 0.9,
        "normalise": "none",
        "batch_normalisation": True,
        "output_weights": "random_uniform",
    }
    found = changed(
        values,
        weights="none",
        model=model,
        training={"seed": 1, "batch_size": 8, "class_weight": "balanced"},
        augmentation={"vertical_flip": True, "brightness": 0.2, "edges": 0.5, "rotation": 5.0},
    )
    assert found["Model: Initial weights"] == "random"
    assert found["Model: ImageNet's 1000-way layer"] == "kept"
    assert found["Model: Momentum of batch normalisation"] == "0.9"
    assert found["Model: Batch normalisation in the head"] == "yes"
    assert found["Model: Output weights"] == "uniform on \N{PLUS-MINUS SIGN}0.05"
    assert found["Model: Pixels"] == "as stored, 0-255"
    assert found["Training: Class weights"] == "the rarer a class, the heavier"
    assert found["Training: Augmentation"] == (
        "vertical flip, rotation \N{PLUS-MINUS SIGN}5\N{DEGREE SIGN}, brightness \N{PLUS-MINUS SIGN}0.2, "
        "edges up to 0.5"
    )
