"""A remote of DVC's, by its name: objects are looked for in it by their MD5, and nothing in it is believed."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from glassbox.errors import GlassboxError
from glassbox.lineage.digests import sums
from glassbox.lineage.lock import FOLDER, LineageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from dvc.repo import Repo
    from tqdm import tqdm

    from glassbox.lineage.digests import Sums

#: Bytes that are fetched at once.
_BLOCK = 4 * 1024 * 1024


class Remote(NamedTuple):
    """A place that `dvc push` writes to. `named` opens one."""

    name: str
    #: DVC's way into it.
    odb: Any

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder of this machine, whose objects can be read where they lie."""
        return str(self.odb.fs.protocol) == "local"

    def at(self, md5: str) -> Path | None:
        """Where an object of a folder lies; None where it is not there."""
        return in_folder(self.odb, md5)

    def fetch(self, md5: str, target: Path, bar: tqdm[Any] | None = None) -> bool:
        """Copies an object to a file, whose folder is made; returns whether the remote has it.

        Args:
            md5: DVC's name for it.
            target: Where it is copied to.
            bar: Told how many bytes were read.

        Raises:
            LineageError: The remote, or the object in it, cannot be read.
        """
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with self.odb.fs.open(self.odb.oid_to_path(md5), "rb") as source, target.open("wb") as file:
                while block := source.read(_BLOCK):
                    file.write(block)
                    if bar is not None:
                        bar.update(len(block))
        except FileNotFoundError:
            target.unlink(missing_ok=True)
            return False
        except Exception as error:  # noqa: BLE001 (each kind of remote raises what its library does)
            raise LineageError(
                f"remote {self.name} cannot be read: {_said(error)}",
                f"its object {md5}, or none",
                f"try `dvc status -c -r {self.name}`",
            ) from None
        return True


def named(repo: Repo, names: Iterable[str]) -> list[Remote]:
    """The remotes of a project that have these names.

    Raises:
        LineageError: There is no such remote, or it cannot be used.
    """
    found = []
    for name in dict.fromkeys(names):
        try:
            odb = repo.cloud.get_remote_odb(name)
            odb.fs.exists(odb.path)  # it opens what is far away
        except Exception as error:  # noqa: BLE001 (as above)
            every = ", ".join(repo.config["remote"]) or "none"
            raise LineageError(
                f"remote {name} cannot be used: {_said(error)}", f"one of: {every}", "look at `dvc remote list`"
            ) from None
        found.append(Remote(name, odb))
    return found


@contextmanager
def reached(name: str) -> Iterator[None]:
    """Says in one message what a remote did not let through while objects are looked for in it, or removed.

    Args:
        name: Of the remote.

    Raises:
        LineageError: It cannot be read, or nothing can be removed from it.
    """
    try:
        yield
    except GlassboxError:
        raise
    except Exception as error:  # noqa: BLE001 (as above)
        raise LineageError(
            f"remote {name} failed: {_said(error)}",
            "a remote that can be read, and from which objects can be removed",
            f"see to that, then run this again with `--erase --remote {name}` and without --patient: it goes on",
        ) from None


class Fetched:
    """Objects of a remote that is no folder, fetched one at a time.

    Args:
        remote: Where from.
        scratch: Where what is kept lies, below the same names as in DVC's cache.
        bar: Told how many bytes were read.
    """

    def __init__(self, remote: Remote, scratch: Path, bar: tqdm[Any]) -> None:
        self._remote, self._scratch, self._bar = remote, scratch, bar
        #: Of what was hashed.
        self.sums: dict[Path, Sums] = {}

    def keep(self, md5: str) -> Path | None:
        """Where an object lies from now on; None where the remote does not have it."""
        at = self._place(md5)
        return at if at.is_file() or self._remote.fetch(md5, at, self._bar) else None

    def hash(self, md5: str) -> Path | None:
        """Where an object lay while it was hashed, and, if it is the list of a folder, lies from now on."""
        at = self._place(md5)
        is_kept = at.is_file() or md5.endswith(FOLDER)
        if at not in self.sums:
            if self.keep(md5) is None:
                return None
            self.sums[at] = sums(at)
            if not is_kept:
                at.unlink()
        return at

    def _place(self, md5: str) -> Path:
        return self._scratch / "files" / "md5" / md5[:2] / md5[2:]


def in_folder(odb: Any, md5: str) -> Path | None:
    """Where DVC's cache, or a remote that is a folder, has an object; None where it is not there."""
    at = Path(odb.oid_to_path(md5))
    return at if at.is_file() else None


def _said(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
