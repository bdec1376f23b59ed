"""A copy of this project's pipeline, in which a test may run it under the real DVC."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from filelock import FileLock

from glassbox.shards import compiled

ROOT = Path(__file__).resolve().parents[2]
#: Seconds after which a command of DVC counts as hung: three times what the longest takes on a slow machine.
PATIENCE = 1200


@dataclass
class Project:
    """A folder with a pipeline in it, and the commands a user runs there."""

    root: Path
    environment: dict[str, str] = field(default_factory=dict)

    @classmethod
    def copy(cls, root: Path, params: dict[str, object], **environment: str) -> Project:
        """Copies stages, modules and configuration; parameters and repository are the test's own.

        Numba's cache comes along, so that no copy compiles again.
        """
        _compile()
        root.mkdir(exist_ok=True)
        project = cls(root, environment)
        project.take("src", "stages", "conf")
        for file in ("dvc.yaml", "uv.lock", ".dvcignore", ".gitignore"):
            shutil.copy(ROOT / file, root / file)
        project.params = params
        subprocess.run(["git", "init", "-q"], cwd=root, check=True)
        project.dvc("init", "-q")
        project.git("add", "-A")
        project.git("commit", "-qm", "Begin")
        return project

    def take(self, *folders: str) -> None:
        """Copies some folders of this project, over what a test changed there.

        Files keep their times, by which Numba knows what it compiled.
        """
        for folder in folders:
            ignored = shutil.ignore_patterns("*.pyc", "*.lock")
            shutil.copytree(ROOT / folder, self.root / folder, ignore=ignored, dirs_exist_ok=True)

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Runs a program in the project; both of its streams are in `stdout`."""
        return subprocess.run(
            words,
            cwd=self.root,
            env=self.variables(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=PATIENCE,
        )

    def variables(self) -> dict[str, str]:
        """The environment of what runs in the project."""
        return {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "DVC_NO_ANALYTICS": "1",
            **self.environment,
        }

    def dvc(self, *words: str) -> str:
        """Runs DVC and returns what it printed; a failure fails the test with it."""
        done = self.run(sys.executable, "-m", "dvc", *words)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def git(self, *words: str) -> str:
        done = self.run("git", "-c", "user.name=test", "-c", "user.email=test@localhost", *words)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def repro(self, *words: str) -> set[str]:
        """Runs `dvc repro`; the stages that ran."""
        return ran(self.dvc("repro", *words))

    @property
    def params(self) -> dict[str, object]:
        return yaml.safe_load((self.root / "params.yaml").read_text())

    @params.setter
    def params(self, values: dict[str, object]) -> None:
        (self.root / "params.yaml").write_text(yaml.safe_dump(values, sort_keys=False))

    def set(self, value: object, *keys: str) -> None:
        """Changes one parameter."""
        params = block = self.params
        for key in keys[:-1]:
            block = block[key]
        block[keys[-1]] = value
        self.params = params

    @property
    def lock(self) -> dict[str, object]:
        """Stage -> its entry in dvc.lock."""
        return yaml.safe_load((self.root / "dvc.lock").read_text())["stages"]

    def lock_of(self, revision: str) -> dict[str, object]:
        """The same of a commit."""
        return yaml.safe_load(self.git("show", f"{revision}:dvc.lock"))["stages"]

    def append(self, path: str, text: str) -> None:
        """Adds text to the end of a file."""
        with (self.root / path).open("a") as stream:
            stream.write(text)


def _compile() -> None:
    """Fills Numba's cache, where it is empty: once for all processes, each of which would take seconds for it."""
    cache = ROOT / "src/glassbox/shards/__pycache__"
    cache.mkdir(exist_ok=True)
    with FileLock(cache / "compiling.lock"):
        compiled.load()


def ran(output: str) -> set[str]:
    """The stages that DVC says it runs."""
    return set(re.findall(r"Running stage '([^']+)'", output))


def move_into_a_folder(root):
    """Commits a project anew, in a repository whose root is the folder above."""
    shutil.rmtree(root / ".git")
    (root.parent / "readme.txt").write_text("Projects\n")
    for words in ("init -q", "add -A", "-c user.name=test -c user.email=test@localhost commit -qm Move"):
        subprocess.run(["git", *words.split()], cwd=root.parent, check=True)
