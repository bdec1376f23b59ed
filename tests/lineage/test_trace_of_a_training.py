"""A model that was really trained, logged and registered: what a trace says is what the network was shown."""

from __future__ import annotations

from collections import Counter, defaultdict
from contextlib import chdir

import builders
import numpy as np
import pytest
import small_training
from recorded_history import Record

from glassbox.artifacts import catalog, model, recipe, split
from glassbox.artifacts.shards import Images
from glassbox.lineage.trace import exposure, registered
from glassbox.lineage.trace.trace import trace
from glassbox.tracking.model import SHA256_TAG
from glassbox.tracking.store import open_store
from glassbox.training import phases, strategies

FOLDS = [split.path("squares", fold) for fold in split.FOLDS]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A project with a model on record; phase -> how often its network was shown each image."""
    record = Record(tmp_path_factory.mktemp("trained") / "project")
    films, step = defaultdict(list), strategies.train

    def spy(network, images, *rest):
        films["now"].extend(image.tobytes() for image in images)
        return step(network, images, *rest)

    blocks = {"warm_start": builders.phase(epochs=2), "fine_tune": builders.phase(epochs=2, steps_per_epoch=7)}
    training = {"seed": 4, "batch_size": 8, "images": 30}
    with chdir(record.root), pytest.MonkeyPatch.context() as patch:
        patch.setattr(strategies, "train", spy)
        patch.setattr(phases, "initial", lambda *_: small_training.tiny())
        small_training.write_project()
        small_training.resolve(tiny=builders.experiment(augmentation={}, training=training, **blocks))
        for phase in blocks:
            small_training.train_phase("tiny", phase)
            films[phase] = films.pop("now")
        rows, images = small_training.rows(), Images("films_32")
        places = images.positions(rows["image_id"].tolist(), rows["pixels_sha256"].tolist())
        name = dict(zip(map(bytes, images.gather(places)), rows["image_id"], strict=True))
    record.ran("catalog@films", outs=[catalog.path("films")])
    record.ran("split@squares", deps=[catalog.path("films")], outs=FOLDS)
    at = {phase: model.files("tiny", phase) for phase in blocks}
    settings = {phase: recipe.folder("tiny") / f"{phase}.json" for phase in blocks}
    record.ran("recipe@tiny", outs=settings.values())
    record.ran("warm_start@tiny", [settings["warm_start"], *FOLDS[:2]], at["warm_start"])
    record.ran("fine_tune@tiny", [settings["fine_tune"], *FOLDS[:2], *at["warm_start"]], at["fine_tune"])
    record.ran("predict@tiny", [FOLDS[2], *at["fine_tune"]])
    record.commit()
    return record, rows, {phase: Counter(name[image] for image in films[phase]) for phase in blocks}


def test_every_image_was_shown_as_often_as_the_network_saw_it(trained):
    """In the warm start whole batches of two passes; in the fine-tuning 14 steps, whatever a pass has."""
    record, rows, shown = trained
    assert (shown["warm_start"].total() % 16, shown["fine_tune"].total()) == (0, 2 * 7 * 8)
    assert len(shown["warm_start"] | shown["fine_tune"]) == 30
    for image, fold in zip(rows["image_id"], rows["fold"], strict=True):
        (found,) = trace(record.root, image=image).sources[0].models
        counts = {phase: shown[phase][image] for phase in ("warm_start", "fine_tune")}
        assert found.shown == ({image: counts} if fold == "train" else {})
        of = {"train": found.train, "validation": found.validation, "test": found.test}
        assert of == {name: (image,) if name == fold else () for name in of}


def test_a_patient_was_shown_as_often_as_all_images_of_theirs(trained):
    record, rows, shown = trained
    patient = rows.loc[rows["fold"] == "train", "patient_id"].iloc[0]
    (found,) = trace(record.root, patient=patient).sources[0].models
    images = rows.loc[rows["patient_id"] == patient, "image_id"].tolist()
    assert list(found.train) == images
    assert {image: sum(of.values()) for image, of in found.shown.items()} == {
        image: sum(shown[phase][image] for phase in shown) for image in images
    }


def test_all_counts_at_once_are_those_of_each_image(trained):
    record, _, shown = trained
    with chdir(record.root):
        lineage, fold = model.read_lineage("tiny"), split.read("squares", "train")
        counts = exposure.shown(lineage, model.read_history(lineage), fold)
    np.testing.assert_array_equal(
        counts, [sum(shown[phase][image] for phase in shown) for image in fold["image_id"]]
    )


# --- MLflow ------------------------------------------------------------------------------------------------


@pytest.fixture
def store(trained, monkeypatch):
    """The project's own store, with a run of the model; its id."""
    record, _, _ = trained
    monkeypatch.chdir(record.root)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return open_store()


def test_runs_aliases_and_versions_are_named_as_soon_as_mlflow_has_them(trained, store, monkeypatch):
    record, rows, _ = trained
    image = rows["image_id"].iloc[0]

    def runs():
        found = trace(record.root, image=image)
        assert found.without_mlflow == ""
        return [(run.run_id, run.names) for run in found.sources[0].models[0].runs]

    assert runs() == []
    digest = model.read_lineage("tiny").model_sha256
    run = store.client.create_run(store.experiment_id, tags={SHA256_TAG: digest}).info.run_id
    store.client.create_run(store.experiment_id, tags={SHA256_TAG: "0" * 64})
    assert runs() == [(run, ())]
    store.client.create_registered_model("chest")
    for _ in range(2):
        store.client.create_model_version("chest", f"runs:/{run}/model", run)
    assert sorted(runs()[0][1]) == ["models:/chest/1", "models:/chest/2"]
    for alias in ("champion", "clinic"):
        store.client.set_registered_model_alias("chest", alias, "2")
    named = ["models:/chest/1", "models:/chest@champion", "models:/chest@clinic"]
    assert sorted(runs()[0][1]) == named
    # As long as nobody writes there, MLflow need not be asked again.
    monkeypatch.setattr(registered, "existing", lambda: pytest.fail("asked again"))
    assert sorted(runs()[0][1]) == named


def test_a_store_that_cannot_be_read_hides_no_model(trained, store, monkeypatch):
    record, rows, _ = trained
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{record.root / 'dvc.yaml'}")
    found = trace(record.root, image=rows["image_id"].iloc[0])
    assert found.without_mlflow.startswith("the MLflow store sqlite:///")
    assert len(found.sources[0].models) == 1
