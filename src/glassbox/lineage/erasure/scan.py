"""The search for patients after an erasure, in all that is at hand; and what no erasure reaches."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml
from dvc.utils.serialize import dump_yaml

from glassbox.files import atomic
from glassbox.lineage.erasure import ledger, reading, remotes, removal
from glassbox.lineage.erasure.places import is_elsewhere
from glassbox.lineage.lock import NAME
from glassbox.params import withdrawn
from glassbox.params.erased import digest, read_key
from glassbox.paths import PARAMS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from glassbox.lineage.erasure.journal import Journal
    from glassbox.lineage.erasure.marks import Marks
    from glassbox.lineage.erasure.recorded import Store
    from glassbox.lineage.erasure.removal import Hit, Wanted
    from glassbox.lineage.withdrawal.replace import Replaced

#: Where zips lie that users put there: theirs to delete.
_ARCHIVES = Path("archives")
#: Findings and images that a line names, of however many there are.
_NAMED = 10


class Left(NamedTuple):
    """What the search found."""

    found: list[str]  #: What should have gone.
    others: list[str]  #: What is another source's, or a zip of the user's own: these stay, and are named.


def scan(store: Store, wanted: Wanted) -> Left:
    """Searches everything at hand for patients.

    Args:
        store: Where objects lie, in the remotes that were cleared, too.
        wanted: Who they are.
    """
    store.forget()
    hits = removal.find(store, wanted, "searching what is left")
    found = [f"{hit.file.path} {hit.why}" for hit in hits if not hit.others]
    found += [
        f"{path} {why}"
        for path in (PARAMS, Path(NAME), *sorted(withdrawn.LISTS.glob("*")))
        if path.is_file() and (why := _text(path, wanted.marks))
    ]
    found += [f"a remote has {wanted.on_record[md5].path} (md5 {md5})" for md5 in remotes.find(store, wanted)]
    found += [f"remote {name}: {path} names a patient" for name, path in remotes.notes(store, wanted.marks)]
    others = [
        f"source {', '.join(hit.others)}: {hit.file.path} {hit.why}: erase them from that source, too"
        for hit in hits
        if hit.others
    ]
    others += [
        f"{path} {why}: it is yours, and no copy of this project's: delete it"
        for path in sorted(_ARCHIVES.rglob("*"))
        if path.is_file() and (why := reading.holds(path, path.name, wanted.marks))
    ]
    return Left(found, others)


def _text(path: Path, marks: Marks) -> str:
    lists = {withdrawn.path(marks.source)}
    if path in lists:
        return "names a patient" if set(marks.patients) & set(withdrawn.read(marks.source)) else ""
    return reading.text(path.read_bytes(), marks)


def seal_lock(source: str, patients: Collection[str]) -> None:
    """Puts digests in the place of ids in dvc.lock, where a stage says who was withdrawn when it ran."""
    place, key = Path(NAME), read_key()
    content = yaml.load(place.read_bytes(), yaml.CSafeLoader) if place.is_file() else {}
    names = {patient: digest(key, source, patient) for patient in patients} if key else {}
    changed = False
    for entry in content.get("stages", {}).values():
        values = entry.get("params", {}).get(str(PARAMS), {})
        for holder, field in _lists(values, source):
            now = [names.get(str(one), one) for one in holder[field]]
            changed |= now != holder[field]
            holder[field] = now
    if changed:
        with atomic(place) as temporary:
            dump_yaml(str(temporary), content)


def _lists(values: Mapping[str, Any], source: str) -> Iterator[tuple[Any, str]]:
    """Where the parameters of a stage have the list of a source: who holds it, and under which key."""
    section = values.get("withdrawn")
    for holder, key in ((values, f"withdrawn.{source}"), (section, source)):
        if isinstance(holder, dict) and isinstance(holder.get(key), list):
            yield holder, key


def told(begun: Journal, hits: Sequence[Hit], gone: Mapping[str, int], replaced: Replaced) -> list[str]:
    """What an erasure did."""
    places: dict[str, int] = {}
    for hit in hits:
        places[hit.file.place] = places.get(hit.file.place, 0) + 1
    source, marks = begun.source, begun.marks
    images = len(marks.images) if marks else 0
    models = sorted(set(begun.models.values()))
    removed = ", ".join(f"{count:,} files of {_PLACES[place]}" for place, count in sorted(places.items()))
    less = f"{len(replaced.dropped):,} members less"
    lines = [
        f"erased from {source}: {', '.join(begun.patients)} ({images:,} images)",
        f"{replaced.path} is the archive without them, {less}, sha256 {replaced.sha256}",
        f"removed: {removed or 'nothing'}",
        *(f"removed: {count:,} objects of remote {name}" for name, count in gone.items()),
    ]
    if models and begun.keep_models:
        lines.append(f"kept, as asked, though they saw them: {', '.join(models)}")
    elif models:
        lines.append(f"models that saw them, with their versions and aliases in MLflow: {', '.join(models)}")
    if begun.same_of_others:
        some = ", ".join(begun.same_of_others[:_NAMED])
        more = len(begun.same_of_others) - _NAMED
        lines.append(
            f"others have the same files, which stay: {some}{f' and {more:,} more' if more > 0 else ''}; "
            "if one of them is the same person, erase that one, too"
        )
    lines += [f"could not be read, and may name more of theirs: {one}" for one in begun.unread]
    lines.append(
        f"{ledger.path(source)} has what was removed: commit it with conf/withdrawn, {PARAMS} and {NAME}; "
        "then run `dvc repro`"
    )
    return lines


_PLACES = {
    "cache": "DVC's cache",
    "workspace": "the workspace",
    "work": "unfinished work",
    "experiments": "temporary experiments",
    "mlflow": "MLflow",
    "secrets": "the vault",
}


def out_of_reach(source: str, store: Store) -> list[str]:
    """What no erasure of this clone reaches, and what to do there."""
    others = [name for name in store.repo.config["remote"] if name not in store.remotes]
    far = f"remotes that were not named ({', '.join(others)}): run this again with --remote NAME" if others else ""
    mlflow = "MLflow's server: delete there what its runs keep of models and predictions" if is_elsewhere() else ""
    history = "`git filter-repo --replace-text` rewrites it, and then every clone has to be made anew"
    lines = [
        far,
        mlflow,
        f"other clones: pull this commit there and run `glassbox withdraw --source {source} --erase`",
        f"git's history: earlier conf/withdrawn, {PARAMS}, {NAME} and metrics/ may name them; {history}",
        "what was handed out: backups, parcels, proofs, models, predictions; and free blocks of disks",
        "Kaggle, and the seed of generated films: an earlier revision checked out gets films from there",
    ]
    return [f"out of reach: {line}" for line in lines if line]
