"""The project's own modules by their names, and the data files that lie among them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from glassbox.code.normal_form import is_empty

if TYPE_CHECKING:
    from pathlib import Path


class Project(NamedTuple):
    """What lies in `src/`, as Python would import it.

    Attributes:
        modules: Dotted name -> file; of a package its `__init__.py`, also where a module beside it has its name.
        data: Dotted name of a package -> the files in its folders that are no Python.
    """

    modules: dict[str, Path]
    data: dict[str, list[Path]]

    def package(self, module: str) -> str:
        """The package from which a module's relative imports start; of a package that is itself."""
        return module if self.modules[module].name == "__init__.py" else module.rpartition(".")[0]

    def files(self, module: str, source: bytes) -> list[Path]:
        """A module's file, left out if it is an `__init__.py` that does nothing, and the data of its package."""
        path = self.modules[module]
        says_nothing = path.name == "__init__.py" and is_empty(source)
        return [*([] if says_nothing else [path]), *self.data.get(self.package(module), [])]

    def inside(self, package: str) -> list[str]:
        """The modules right inside a package."""
        return [module for module in self.modules if module.rpartition(".")[0] == package]


def project(root: Path) -> Project:
    """Looks through `src/` of a project.

    Names come from a listing, not from asking for one file after another: where capitals are the same as small
    letters to a file system, `Scores.py` would be found although Python would not import it.
    """
    source = root / "src"
    files = [path for path in sorted(source.rglob("*")) if path.is_file() and not _is_by_product(path, source)]
    # Packages first, so that no module replaces one of its name.
    files.sort(key=lambda path: path.name != "__init__.py")
    modules: dict[str, Path] = {}
    data: dict[str, list[Path]] = {}
    for path in files:
        *folders, _ = path.relative_to(source).parts
        if path.suffix == ".py":
            name = folders if path.name == "__init__.py" else [*folders, path.stem]
            modules.setdefault(".".join(name), path)
        else:
            while folders and ".".join(folders) not in modules:
                folders.pop()
            data.setdefault(".".join(folders), []).append(path)
    return Project(modules, data)


def _is_by_product(path: Path, source: Path) -> bool:
    """Whether Python, an editor or a file manager keeps a file for itself: `__pycache__`, and what is hidden."""
    return any(part == "__pycache__" or part.startswith(".") for part in path.relative_to(source).parts)
