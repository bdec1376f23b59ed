"""DVC's remotes that are named: the objects of theirs there, and their removal."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glassbox.lineage.erasure import reading
from glassbox.lineage.lock import FOLDER
from glassbox.lineage.remotes import reached

if TYPE_CHECKING:
    from collections.abc import Collection

    from glassbox.lineage.erasure.marks import Marks
    from glassbox.lineage.erasure.recorded import Store
    from glassbox.lineage.erasure.removal import Wanted


def find(store: Store, wanted: Wanted) -> list[str]:
    """The MD5 of objects that have to go and of which a remote alone has a copy; they are fetched, one by one."""
    found = []
    for name, odb in store.remotes.items():
        for md5, (path, sources) in wanted.on_record.items():
            if store.cached(md5).is_file() or md5.endswith(FOLDER) or md5 in found:
                continue
            if wanted.marks.source not in sources and md5 not in wanted.md5s:
                continue
            with reached(name):
                if odb.exists(md5) and (md5 in wanted.md5s or _holds(odb, md5, path, wanted)):
                    found.append(md5)
    return found


def _holds(odb: Any, md5: str, path: str, wanted: Wanted) -> str:
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / md5
        odb.fs.get_file(odb.oid_to_path(md5), str(copy))
        return reading.holds(copy, path, wanted.marks)


def notes(store: Store, marks: Marks) -> list[tuple[str, str]]:
    """What `dvc push --run-cache` took to remotes of runs whose parameters name them: remote and path."""
    found = []
    for name, odb in store.remotes.items():
        fs = odb.fs
        # Beside the objects, which lie in files/md5.
        folder = fs.join(fs.parent(fs.parent(odb.path)), "runs")
        with reached(name):
            paths = fs.find(folder) if fs.exists(folder) else ()
            found += [(name, path) for path in paths if reading.text(fs.cat_file(path), marks)]
    return found


def remove(removed: Collection[str], store: Store, marks: Marks) -> dict[str, int]:
    """Removes objects, and notes of runs; remote -> how many it had."""
    gone = dict.fromkeys(store.remotes, 0)
    for name, path in notes(store, marks):
        with reached(name):
            store.remotes[name].fs.remove(path)
        gone[name] += 1
    for name, odb in store.remotes.items():
        for md5 in removed:
            with reached(name):
                if odb.exists(md5):
                    odb.delete(md5)
                    gone[name] += 1
    return gone
