"""A project with Glassbox's stages in name, each of them a line of shell: built and rebuilt in seconds."""

from __future__ import annotations

import hashlib
import subprocess
from typing import TYPE_CHECKING

import yaml
from pipeline_copy import Project

if TYPE_CHECKING:
    from pathlib import Path

#: Where the zip lies, from the project's root.
ZIP = "../zips/films.zip"
MODEL = "models/one/model.keras"
CHAIN = ("code", "download@films", "split", "fine_tune@one")
#: What each stage does. What the variable NOISE says gets into a fold, and FAIL ends the training.
_SCRIPTS = {
    "code": "mkdir -p data; cp -r src/glassbox data/code",
    "download": 'mkdir -p data/archives; test -f "data/archives/$1.zip" || cp "$2" "data/archives/$1.zip"',
    "split": "mkdir -p data/splits/small; cp data/archives/films.zip data/splits/small/train; "
    'echo "$NOISE" > data/splits/small/test',
    "fine_tune": 'test -z "$FAIL" || exit 3; mkdir -p models/one; env > variables; '
    "cat data/splits/small/* > models/one/model.keras; cd models/one; echo 1 > history.csv; echo 1 > lineage.json",
}
_STAGES = {
    "code": {"cmd": "sh stages/code.sh", "deps": ["src/glassbox"], "outs": ["data/code"]},
    "download": {
        "foreach": "${sources}",
        "do": {
            "cmd": "sh stages/download.sh ${key} ${item.path}",
            "deps": ["data/code"],
            "params": ["sources.${key}"],
            "outs": [{"data/archives/${key}.zip": {"persist": True, "push": False}}],
        },
    },
    "split": {"cmd": "sh stages/split.sh", "deps": ["data/archives/films.zip"], "outs": ["data/splits/small"]},
    "fine_tune": {
        "foreach": ["one"],
        "do": {
            "cmd": "sh stages/fine_tune.sh",
            "deps": ["data/splits/small"],
            "outs": [f"models/one/{name}" for name in ("model.keras", "history.csv", "lineage.json")],
        },
    },
}


def build(root: Path) -> Project:
    """Builds the project in a new folder, and commits it; the tag `made` is that commit.

    A later commit, which nobody built, has another line of code.
    """
    project = Project(root / "project")
    for folder in ("zips", "project/src/glassbox", "project/stages"):
        (root / folder).mkdir(parents=True)
    content = bytes(range(256)) * 64
    (project.root / ZIP).write_bytes(content)
    source = {"kind": "archive", "path": ZIP, "sha256": hashlib.sha256(content).hexdigest()}
    project.params = {"sources": {"films": source}}
    (project.root / "src/glassbox/code.py").write_text("CODE = 1\n")
    (project.root / "dvc.yaml").write_text(yaml.safe_dump({"stages": _STAGES}, sort_keys=False))
    (project.root / ".gitignore").write_text("/data/\n/models/\n/work/\n/variables\n")
    for name, script in _SCRIPTS.items():
        text = f'echo {name} >> "${{RAN:-/dev/null}}"\n{script}\n'
        (project.root / f"stages/{name}.sh").write_text(text)
    subprocess.run(["git", "init", "-q"], cwd=project.root, check=True)
    project.dvc("init", "-q")
    project.dvc("repro", "-q")
    project.git("add", "-A")
    project.git("commit", "-qm", "Build")
    project.git("tag", "made")
    project.append("src/glassbox/code.py", "CODE = 2\n")
    project.git("commit", "-qam", "Go on")
    return project
