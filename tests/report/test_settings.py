import pytest

from glassbox import params
from glassbox.report import settings
from glassbox.report.results import Result


def shown(parameters, key="vgg"):
    """Name -> value of every setting of one experiment, both phases under names of their own."""
    groups = settings.groups(parameters, [Result.read(parameters, key)])
    return {f"{group.title}: {setting.name}": setting.values[0] for group in groups for setting in group.settings}


def phase(loss="categorical_crossentropy", **changes):
    optimizer = {"name": "adam", "learning_rate": 0.001}
    return {"epochs": 4, "freeze": "nothing", "optimizer": optimizer, "loss": loss} | changes


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
def test_the_question_is_that_of_the_task(project, make, labels, words):
    loss = "binary_crossentropy" if labels["task"] == "multi_label" else "categorical_crossentropy"
    make.split("asked")
    experiment = make.experiment(split="asked", warm_start=phase(loss), fine_tune=phase(loss))
    assert shown(make.parameters(splits={"asked": {"labels": labels}}, vgg=experiment))["Data: Question"] == words


@pytest.mark.parametrize(
    ("procedure", "words", "validation"),
    [
        ({}, "by patient: nobody is in two folds", "0.1 of the remaining patients"),
        (
            {"procedure": "by_image", "official_test": False},
            "by image, which leaks: images of one patient fall to several folds",
            "0.1 of the remaining images",
        ),
        (
            {
                "procedure": "rows_with_replacement",
                "official_test": False,
                "rows_a_class": 6000,
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
def test_a_procedure_is_named_and_a_leaking_one_is_said_to_leak(project, make, procedure, words, validation):
    make.split("drawn")
    parameters = make.parameters(splits={"drawn": procedure}, vgg=make.experiment(split="drawn"))
    assert shown(parameters)["Data: Procedure"] == words
    assert shown(parameters)["Data: Validation fold"] == validation


def test_what_folds_share_stands_among_the_settings(project, make):
    assert shown(project)["Data: Shared by folds"] == "no patient, image or file"
    make.split("infiltration", train_test={"patients": 7})
    assert shown(project)["Data: Shared by folds"] == "train and test share 7 patients"


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
def test_every_word_for_what_is_frozen_has_words_on_the_page(project, make, freeze, words):
    parameters = make.parameters(vgg=make.experiment(fine_tune=phase(freeze=freeze)))
    assert shown(parameters)["Fine-tuning: Frozen"] == words


def test_phases_are_shown_as_they_run(project, make):
    experiment = make.experiment(weights="none", warm_start=phase(freeze="everything"))
    parameters = make.parameters(vgg=experiment)
    assert parameters.experiments["vgg"].warm_start.freeze == "everything"
    assert shown(parameters)["Warm start: Frozen"] == "nothing"


def test_a_phase_of_no_epochs_has_no_settings(project, make):
    values = shown(make.parameters(vgg=make.experiment(warm_start=phase(epochs=0))))
    assert values["Warm start: Epochs"] == "0"
    assert {value for name, value in values.items() if name.startswith("Warm start")} == {"0", "\N{EN DASH}"}


def test_steps_and_stopping_are_shown(project, make):
    fine_tune = phase(steps_per_epoch=100, early_stopping={"patience": 2, "below": 0.1})
    values = shown(make.parameters(vgg=make.experiment(fine_tune=fine_tune)))
    assert values["Fine-tuning: Steps an epoch"] == "100"
    assert values["Fine-tuning: Epochs"] == ("4 at most, patience 2, or until the validation loss is below 0.1")
    assert values["Warm start: Steps an epoch"] == "all batches"


def test_the_model_and_its_training_are_shown(project, make):
    model = {
        "backbone": "resnet50",
        "top": True,
        "momentum": 0.9,
        "normalise": "none",
        "batch_normalisation": True,
        "output_weights": "random_uniform",
    }
    values = shown(
        make.parameters(
            vgg=make.experiment(
                weights="none",
                model=model,
                training={"seed": 1, "batch_size": 8, "class_weight": "balanced"},
                augmentation={"vertical_flip": True, "brightness": 0.2, "edges": 0.5},
            )
        )
    )
    assert values["Model: ImageNet's 1000-way layer"] == "kept"
    assert values["Model: Momentum of batch normalisation"] == "0.9"
    assert values["Model: Batch normalisation in the head"] == "yes"
    assert values["Model: Output weights"] == "uniform on \N{PLUS-MINUS SIGN}0.05"
    assert values["Model: Pixels"] == "as stored, 0-255"
    assert values["Training: Class weights"] == "the rarer a class, the heavier"
    assert values["Training: Augmentation"] == "vertical flip, brightness \N{PLUS-MINUS SIGN}0.2, edges up to 0.5"
    plain = shown(project)
    assert plain["Model: ImageNet's 1000-way layer"] == "left out"
    assert plain["Model: Momentum of batch normalisation"] == "the architecture's"
    assert plain["Training: Class weights"] == "none"


def test_every_procedure_of_the_parameters_has_words():
    assert set(settings._UNITS) == set(params.Procedure.__args__)
