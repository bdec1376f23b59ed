"""A small project of two experiments that name one split, built once by the real stages under the real DVC.

One starts from random weights. The other starts from pretrained ones, and is trained as a grid of two cells says.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from pipeline_copy import ROOT, copy_pipeline

# Runs at the start of every Python process of the project: writes down, at its end, what it imported of us.
_SPY = """
import atexit, json, os, sys

def _write():
    files = [getattr(module, "__file__", None) for name, module in list(sys.modules.items())
             if name == "glassbox" or name.startswith("glassbox.")]
    path = os.path.join(os.environ["IMPORTS"], f"{os.getpid()}.json")
    with open(path, "w") as stream:
        json.dump({"command": sys.argv, "files": [file for file in files if file]}, stream)

atexit.register(_write)
"""


@dataclass
class Project:
    """A folder with a pipeline in it, and the commands a user runs there."""

    root: Path
    imports: Path

    def dvc(self, *words: str) -> str:
        """Runs DVC and returns what it printed; a failure fails the test with it."""
        done = subprocess.run(
            [sys.executable, "-m", "dvc", *words],
            cwd=self.root,
            env={**os.environ, **self.environment()},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def environment(self) -> dict[str, str]:
        return {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": f"{self.imports.parent}{os.pathsep}{self.root / 'src'}",
            "IMPORTS": str(self.imports),
            "DVC_NO_ANALYTICS": "1",
        }

    def lock(self) -> dict[str, object]:
        return yaml.safe_load((self.root / "dvc.lock").read_text())["stages"]

    def set(self, value: object, *keys: str) -> None:
        path = self.root / "params.yaml"
        params = block = yaml.safe_load(path.read_text())
        for key in keys[:-1]:
            block = block[key]
        block[keys[-1]] = value
        path.write_text(yaml.safe_dump(params, sort_keys=False))

    def imported(self) -> dict[str, set[str]]:
        """Stage -> the files of `src/` that its processes imported, as dvc.yaml would name them."""
        found: dict[str, set[str]] = {}
        for path in self.imports.iterdir():
            record = json.loads(path.read_text())
            script = Path(record["command"][0])
            if script.parent.name == "stages":
                files = {Path(file).relative_to(self.root).as_posix() for file in record["files"]}
                found.setdefault(script.stem, set()).update(files)
        return found


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The project, built."""
    root = tmp_path_factory.mktemp("project")
    copy_pipeline(root)
    spy = tmp_path_factory.mktemp("spy")
    (spy / "sitecustomize.py").write_text(_SPY)
    (spy / "imports").mkdir()
    project = Project(root, spy / "imports")
    (root / "params.yaml").write_text(yaml.safe_dump(_params(), sort_keys=False))
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    project.dvc("init", "-q")
    project.dvc("repro")
    return project


def _params() -> dict[str, object]:
    """The demo's parameters, small."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["profile"] = "tiny"
    params["sources"]["phantom"] |= {"patients": 60, "size": 64}
    params["datasets"]["phantom_64"] |= {"size": 32, "shard_images": 64}
    params["splits"] = {"infiltration": params["splits"]["infiltration"]}
    params["splits"]["infiltration"]["validation"] = 0.25
    pretraining = params["weights"]["phantoms"] | {"size": 32, "epochs": 1, "batch_size": 8}
    pretraining["films"] |= {"patients": 5, "size": 32}
    params["weights"] = {"none": {"kind": "none"}, "phantoms": pretraining}
    one = params["experiments"]["infiltration_vgg16"]
    one["weights"] = "none"
    one["warm_start"]["epochs"] = 0
    one["fine_tune"]["epochs"] = 1
    one["evaluation"]["resamples"] = 100
    other = json.loads(json.dumps(one))
    other["weights"] = "phantoms"
    other["choice"]["file"] = "data/choices/tiny.json"
    params["experiments"] = {"one": one, "other": other}
    params["grids"] = {"tiny": {"experiment": "other", "epochs": 1, "steps_per_epoch": 1, "choices": 1}}
    params["rows"] = {
        "tiny_32": {
            "grid": "tiny",
            "experiment": "other",
            "dataset": other["dataset"],
            "split": other["split"],
            "weights": other["weights"],
            "images": 32,
            "all_but_last": [0, 1],
        }
    }
    return params
