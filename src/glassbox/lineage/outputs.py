"""The outputs of stages, wherever copies of them lie: each copy is hashed again, and a whole one is taken."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glassbox.artifacts import archive
from glassbox.lineage import pixels
from glassbox.lineage.digests import Rows, all_sums
from glassbox.lineage.erasure import ledger
from glassbox.lineage.link import Link, Verdict, verified, wrong
from glassbox.lineage.revision import folder_md5
from glassbox.params.read import parse
from glassbox.params.sources import PhantomSource
from glassbox.phantoms import archive as phantom

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from glassbox.lineage.digests import Sums
    from glassbox.lineage.lock import Tracked
    from glassbox.lineage.revision import Revision

#: How many files of a folder a message names.
_NAMED = 3


@dataclass
class Copy:
    """One copy of an output."""

    #: Where: `workspace`, `cache` or `git`.
    place: str
    #: Path from the output, empty for a file itself -> where it lies.
    files: dict[str, Path]
    #: What is wrong with it; empty where it is whole.
    damage: list[str] = field(default_factory=list)


@dataclass
class Output:
    """An output of a stage, and its copies.

    Attributes:
        stage: Who wrote it.
        tracked: What dvc.lock says of it.
        copies: Those at hand.
        members: Path from the output, empty for a file itself -> MD5, where something that is whole says so.
        is_pushed: Whether `dvc push` takes it to remotes.
        sha256: Path from the output -> what was found in a copy that is whole: of a shard the SHA-256 of each
            stored image; of an archive its own, since two zips of one MD5 can be made.
        erased: The ledger that says that it was removed for patients who were erased; empty where none does.
    """

    stage: str
    tracked: Tracked
    copies: list[Copy]
    members: dict[str, str]
    is_pushed: bool
    sha256: dict[str, tuple[str, ...]] = field(default_factory=dict)
    erased: str = ""

    @property
    def is_archive(self) -> bool:
        """Whether it is the zip of a source."""
        return self.tracked.path == archive.path(Path(self.tracked.path).stem).as_posix()

    @property
    def whole(self) -> Copy | None:
        """A copy that is what dvc.lock says."""
        return next((copy for copy in self.copies if not copy.damage), None)

    @property
    def link(self) -> Link:
        """The verdict: a damaged copy is wrong even where another is whole, since DVC would hand it out."""
        path, stage = self.tracked.path, self.stage
        expected = f"md5 {self.tracked.md5}, as dvc.lock says of {stage}"
        if self.erased:
            return self._erasure(expected)
        damaged = [f"{copy.place}: {line}" for copy in self.copies for line in copy.damage]
        if damaged:
            more = f"; and {len(damaged) - _NAMED:,} more" if len(damaged) > _NAMED else ""
            action = f"delete what is damaged; `dvc checkout {path}` or `dvc repro {stage}` brings it back"
            return wrong(path, "; ".join(damaged[:_NAMED]) + more, expected, action)
        if not self.copies:
            action = f"run `dvc pull {path}`" if self.is_pushed else f"run `dvc repro {stage}`"
            return Link(path, Verdict.MISSING, "no whole copy at hand", expected, action)
        return verified(path, f"md5 {self.tracked.md5} ({', '.join(copy.place for copy in self.copies)})")

    def _erasure(self, expected: str) -> Link:
        """The verdict where a ledger has it: it passes never, and a copy of it should not be there."""
        path, found = self.tracked.path, f"removed for patients who were erased ({self.erased})"
        if places := [copy.place for copy in self.copies if not copy.damage]:
            source = Path(self.erased).name.removesuffix(ledger.SUFFIX)
            action = f"run `glassbox withdraw --source {source} --erase`, which removes by that ledger"
            found += f", yet a copy is here: {', '.join(places)}"
            return Link(path, Verdict.ERASED, found, "no copy", action)
        action = f"nothing brings it back; `dvc repro {self.stage}` makes the next one, without them"
        return Link(path, Verdict.ERASED, found, expected, action)


def outputs(revision: Revision, stages: Iterable[str], scratch: Path) -> list[Output]:
    """Every output of some stages, with the copies that are at hand, each hashed again.

    Args:
        revision: Whose dvc.lock says what they are. In the workspace's case, copies in it count.
        stages: Their names.
        scratch: A folder to work in.
    """
    found = [
        _output(revision, stage, out, scratch) for stage in stages for out in revision.lock.stages[stage].outs
    ]
    _rehash(found, scratch)
    return found


def _rehash(found: Iterable[Output], scratch: Path) -> None:
    """Reads every copy of some outputs once, and notes what each is."""
    wanted: dict[Path, Rows | None] = {}
    for output in found:
        for copy in output.copies:
            wanted |= dict.fromkeys(copy.files.values())
        if output.copies and (dataset := pixels.dataset(output.tracked.path)):
            wanted |= pixels.rows(output.copies[0].files, dataset, scratch)
        if output.is_archive:
            places = (path for copy in output.copies for path in copy.files.values())
            wanted |= {path: Rows(0, max(path.stat().st_size, 1), 1) for path in places}
    hashed = all_sums(wanted, "hashing")
    for output in found:
        for copy in output.copies:
            _judge(output, copy, hashed)
            if copy.damage:
                continue
            for name, path in copy.files.items():
                if hashed[path].sha256:
                    output.sha256[name] = hashed[path].sha256


def generate(output: Output, params: Any, folder: Path) -> None:
    """Draws the archive of a source of generated films again, where no copy of it is at hand.

    Args:
        output: Any output.
        params: What params.yaml says.
        folder: Where it is drawn.
    """
    source = Path(output.tracked.path).stem
    if output.copies or output.erased or not output.is_archive:
        return
    sources = params.get("sources") if isinstance(params, dict) else None
    block = sources.get(source) if isinstance(sources, dict) else None
    if not isinstance(block, dict) or block.get("kind") != "phantom":
        return
    target = folder / f"{source}.zip"
    phantom.write(parse(block, PhantomSource, f"sources.{source}"), target)
    output.copies.append(Copy("generated again", {"": target}))
    _rehash([output], folder)


def _output(revision: Revision, stage: str, tracked: Tracked, scratch: Path) -> Output:
    kept = revision.out(stage, tracked.path)
    output = Output(stage, tracked, [], {} if tracked.is_folder else {"": tracked.md5}, kept.is_pushed)
    if revision.commit is None:
        output.copies += _in_workspace(Path(revision.repo.root_dir) / tracked.path)
    elif kept.is_in_git:
        output.copies += _in_git(revision, tracked, scratch)
    output.copies += _in_cache(revision, output)
    return output


def _in_workspace(path: Path) -> Iterator[Copy]:
    if path.is_dir():
        files = {file.relative_to(path).as_posix(): file for file in path.rglob("*") if file.is_file()}
        yield Copy("workspace", files)
    elif path.is_file():
        yield Copy("workspace", {"": path})


def _in_git(revision: Revision, tracked: Tracked, scratch: Path) -> Iterator[Copy]:
    files = {}
    for name, content in revision.present(tracked.path).items():
        target = scratch / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        files[name.removeprefix(tracked.path).removeprefix("/")] = target
    if files:
        yield Copy("git", files)


def _in_cache(revision: Revision, output: Output) -> Iterator[Copy]:
    """The copy in DVC's cache, if all of it is there; what a folder holds is noted in the output."""
    cache = revision.repo.cache.local
    at = Path(cache.oid_to_path(output.tracked.md5))
    if not at.is_file():
        return
    if output.tracked.is_folder:
        try:
            listed = {str(entry["relpath"]): str(entry["md5"]) for entry in json.loads(at.read_bytes())}
        except (ValueError, KeyError, TypeError, RecursionError):
            listed = {}
        if folder_md5(listed) != output.tracked.md5:
            yield Copy("cache", {}, [f"{_short(at)} lists other files than when it was written"])
            return
        output.members = listed
    files = {name: Path(cache.oid_to_path(md5)) for name, md5 in output.members.items()}
    if all(path.is_file() for path in files.values()):
        yield Copy("cache", files)


def _judge(output: Output, copy: Copy, hashed: Mapping[Path, Sums]) -> None:
    """Notes what is wrong with a copy, by the sums of its files."""
    if copy.damage:
        return
    tracked = output.tracked
    found = {name: hashed[path].md5 for name, path in copy.files.items()}
    if tracked.is_folder and "" not in found and folder_md5(found) == tracked.md5:
        output.members = found
    if found != output.members:
        copy.damage += _differences(output, copy, found)
        return
    size = sum(path.stat().st_size for path in copy.files.values())
    files = len(found) if tracked.is_folder else None
    if (size, files) != (tracked.size, tracked.nfiles):
        copy.damage.append(f"{size:,} bytes, {files} files; dvc.lock says {tracked.size:,}, {tracked.nfiles}")


def _differences(output: Output, copy: Copy, found: Mapping[str, str]) -> Iterator[str]:
    path, members = output.tracked.path, output.members
    if not members:
        yield f"{path} has together md5 {folder_md5(found) if '' not in found else found['']}"
    for name in sorted(found.keys() | members.keys()) if members else ():
        at = copy.files.get(name)
        where = f"{path}/{name}".rstrip("/") + (f" ({_short(at)})" if at and copy.place == "cache" else "")
        if name not in found:
            yield f"{where} is not there"
        elif name not in members:
            yield f"{where} is there besides"
        elif found[name] != members[name]:
            yield f"{where} has md5 {found[name]}, not {members[name]}"


def _short(path: Path) -> str:
    """A path of the cache from its folder on."""
    return "/".join(path.parts[-5:])
