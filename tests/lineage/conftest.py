"""A small cohort in a project built by the functions of its stages; a recorded one; a parcel to be damaged."""

from __future__ import annotations

import os
import shutil
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from pathlib import Path

import builders
import pandas as pd
import pytest
import recorded
import small_record
from cryptography.hazmat.primitives.asymmetric import ed25519
from cut_zip import without
from distributed import LocalCluster
from dvc.repo import Repo
from filelock import FileLock
from small_parcel import Exported, write_key

from glassbox import cluster
from glassbox.archives import zip as zips
from glassbox.artifacts import archive, catalog, members, shards, split
from glassbox.artifacts.split import FOLDS
from glassbox.catalogs import build as catalogs
from glassbox.files import sha256_file
from glassbox.lineage.parcel.parcel import export
from glassbox.params.document import load
from glassbox.params.sources import PhantomSource
from glassbox.phantoms import archive as phantom
from glassbox.shards import build as resized
from glassbox.splits import build as splits
from glassbox.splits import summary

ROOT = Path(__file__).parents[2]
ASKED = {
    "kind": "phantom",
    "layout": "nih",
    "seed": 4,
    "patients": 90,
    "size": 32,
    "prevalence": dict.fromkeys(("Infiltration", "Mass", "Pneumonia", "Nodule"), 0.12),
}


def _split(positive: str, negative: str, **changes: object) -> dict[str, object]:
    labels = {"task": "binary", "positive": positive, "negative": negative}
    asked = {"source": "films", "dataset": "films_32", "labels": labels, "balance": "none", "seed": 6}
    return asked | {"official_test": True, "validation": 0.25} | changes


#: By the archive's test list, where nothing is balanced; the same of films that the first has none of; one that
#: cuts, samples and balances.
SPLITS = {
    "listed": _split("Infiltration", "Mass"),
    "other": _split("Pneumonia", "Nodule"),
    "cut": _split("Infiltration", "No Finding", official_test=False, test=0.2, sample=120, balance="largest"),
}


@dataclass(frozen=True)
class Project:
    """What its methods build lies in the current folder."""

    root: Path

    def images(self, *patients: str) -> list[str]:
        """The images of some patients in the catalog."""
        rows, _ = catalog.read("films", ["image_id", "patient_id"])
        return rows.loc[rows["patient_id"].isin(patients), "image_id"].tolist()

    def patients(self) -> list[str]:
        """Everybody in the catalog."""
        return sorted(set(catalog.read("films", ["patient_id"])[0]["patient_id"]))

    def of(self, name: str, fold: str) -> pd.DataFrame:
        """A fold of a split."""
        return split.read(name, fold)

    def only_in(self, name: str, fold: str) -> str:
        """A patient who is in this fold, and in no other split that goes by the official list."""
        rows = self.of(name, fold)
        others = [self.of(other, any_) for other in {"listed", "other"} - {name} for any_ in FOLDS]
        met = set(pd.concat(others)["patient_id"])
        return next(patient for patient in rows["patient_id"] if patient not in met)

    def shards(self) -> dict[str, str]:
        """Image -> the shard in which it lies."""
        rows = shards.read_index("films_32").rows
        return dict(zip(rows["image_id"].to_pylist(), rows["shard"].to_pylist(), strict=True))

    def index(self) -> None:
        """Writes the index of the archive that is there, as the download would."""
        path = archive.path("films")
        members.write("films", zips.verify(path, zips.members(path), label="films"), sha256_file(path))

    def build(self, *, shards: bool = True) -> None:
        """What the stages catalog, resize and split make of params.yaml; without shards the folds are the same."""
        params = load()
        for name, source in params.sources.items():
            catalogs.build(source, name, params.withdrawn[name])
        for name, dataset in params.datasets.items() if shards else ():
            resized.build(dataset, name)
        for name, settings in params.splits.items():
            splits.build(settings, name)

    def files(self, *folders: str) -> dict[str, bytes]:
        """Path and bytes of every file in some folders."""
        return {
            str(path): path.read_bytes()
            for folder in folders
            for path in sorted(Path(folder).rglob("*"))
            if path.is_file()
        }


@pytest.fixture(scope="session")
def scheduler():
    """The address of a cluster of one thread in this process, which is there at once."""
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0") as local,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv(cluster.ADDRESS, local.scheduler_address)
        yield local.scheduler_address


@contextmanager
def unplotted():
    """Half of the time would go into plots of what stands in labels.csv."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(summary, "plot", lambda _, path: path.write_bytes(b""))
        yield


@pytest.fixture(autouse=True)
def _unplotted():
    with unplotted():
        yield


@pytest.fixture(scope="session")
def template(tmp_path_factory, scheduler):
    """The project as it is built before anybody is withdrawn."""
    root = tmp_path_factory.mktemp("template")
    with chdir(root), unplotted():
        Repo.init(no_scm=True).close()
        shutil.copy(ROOT / "dvc.yaml", root)
        values = builders.document(
            splits=SPLITS,
            datasets={"films_32": {"source": "films", "size": 32, "shard_images": 24}},
            sources={"films": ASKED},
            experiments={name: builders.experiment(split=name) for name in SPLITS},
        )
        # DVC wants every parameter that a stage names to be there, defaults too.
        builders.parameters(builders.parameters(values).model_dump(mode="json"))
        builders.write_code("pixels")
        phantom.write(PhantomSource(**ASKED), archive.path("films"))
        project = Project(root)
        project.index()
        project.build()
    return root


@pytest.fixture
def project(tmp_path, template, monkeypatch, scheduler):
    """A copy of it, which is the working directory."""
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return Project(tmp_path)


@pytest.fixture
def never(project, tmp_path_factory, scheduler):
    """`never(patients)`: what the project would be built into, had its archive never held them; path -> bytes."""

    def build(patients, *folders):
        theirs, whole = project.images(*patients), archive.path("films").resolve()
        root = tmp_path_factory.mktemp("never")
        with chdir(root):
            shutil.copy(project.root / "params.yaml", root)
            builders.write_code("pixels")
            archive.path("films").parent.mkdir(parents=True)
            without(theirs, whole, archive.path("films"))
            project.index()
            project.build()
            return project.files(*folders)

    return build


@pytest.fixture(scope="session")
def recorded_once(tmp_path_factory):
    """A recorded project, the same for all processes of the session; nobody writes here."""
    folder = tmp_path_factory.getbasetemp()
    folder = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder
    with FileLock(folder / "recorded.lock"):
        if not (folder / "recorded.done").exists():
            (folder / "recorded").mkdir()
            recorded.build(folder / "recorded")
            (folder / "recorded.done").touch()
    return folder / "recorded"


@pytest.fixture(scope="module")
def intact(recorded_once):
    """The recorded project, to read in; the working directory."""
    with recorded.inside(recorded_once):
        yield recorded_once


@pytest.fixture(scope="session")
def elsewhere_once(tmp_path_factory, recorded_once):
    """The project after its models were made anew on another kind of machine, which no commit holds."""
    root = recorded.copy(recorded_once, tmp_path_factory.mktemp("elsewhere") / "project")
    with recorded.inside(root):
        recorded.make_model_elsewhere()
        recorded.record()
    return root


@pytest.fixture
def elsewhere(tmp_path, elsewhere_once):
    """A copy of it, which is the working directory."""
    root = recorded.copy(elsewhere_once, tmp_path / "project")
    with recorded.inside(root):
        yield root


@pytest.fixture
def recording(tmp_path, recorded_once):
    """A copy of it, which is the working directory."""
    root = recorded.copy(recorded_once, tmp_path / "project")
    with recorded.inside(root):
        yield root


@pytest.fixture(scope="session")
def signing_key(tmp_path_factory):
    """A file with an Ed25519 key."""
    folder = tmp_path_factory.mktemp("key")
    return write_key(folder / "key.pem", ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32))))


@pytest.fixture(scope="session")
def exported_once(tmp_path_factory, signing_key):
    """A parcel that no test changes."""
    folder, record = tmp_path_factory.mktemp("exported"), small_record.record()
    parcel = export(record, folder / "parcel", signing_key, folder / "secrets")
    return Exported(record, parcel.path, folder / "secrets", signing_key, parcel.root)


@pytest.fixture
def exported(tmp_path, exported_once):
    """A copy of it."""
    shutil.copytree(exported_once.parcel, tmp_path / "parcel")
    shutil.copytree(exported_once.salts, tmp_path / "secrets")
    return exported_once._replace(parcel=tmp_path / "parcel", salts=tmp_path / "secrets")
