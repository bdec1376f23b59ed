"""The outputs of stages, wherever copies of them lie: each copy is hashed again, and a whole one is taken."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from glassbox.artifacts import archive
from glassbox.lineage import pixels
from glassbox.lineage.digests import Rows, all_sums
from glassbox.lineage.erasure import ledger
from glassbox.lineage.link import Link, Verdict, verified, wrong
from glassbox.lineage.remotes import Fetched, in_folder
from glassbox.lineage.revision import folder_files, folder_md5
from glassbox.params.read import parse
from glassbox.params.sources import PhantomSource
from glassbox.phantoms import archive as phantom

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from glassbox.lineage.digests import Sums
    from glassbox.lineage.lock import Tracked
    from glassbox.lineage.remotes import Remote
    from glassbox.lineage.revision import Revision

#: How many files of a folder a message names.
_NAMED = 3
#: What the place of a copy in a remote begins with.
_REMOTE = "remote "


@dataclass
class Copy:
    """One copy of an output."""

    #: Where: `workspace`, `cache`, `git`, `generated again`, or `remote` and its name.
    place: str
    #: Path from the output, empty for a file itself -> where it lies, or lay while it was hashed.
    files: dict[str, Path]
    #: What is wrong with it; empty where it is whole.
    damage: list[str] = field(default_factory=list)
    #: Whether some files of a folder are not there: what is there may be damaged, and is no copy all the same.
    is_part: bool = False

    @property
    def is_far(self) -> bool:
        """Whether it lies in a remote."""
        return self.place.startswith(_REMOTE)


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
            return wrong(path, "; ".join(damaged[:_NAMED]) + more, expected, self._mending)
        if not self.copies:
            action = f"run `dvc pull {path}`" if self.is_pushed else f"run `dvc repro {stage}`"
            return Link(path, Verdict.MISSING, "no whole copy at hand", expected, action)
        return verified(path, f"md5 {self.tracked.md5} ({', '.join(copy.place for copy in self.copies)})")

    @property
    def _mending(self) -> str:
        """What to do about damaged copies."""
        path = self.tracked.path
        far = [copy.place.removeprefix(_REMOTE) for copy in self.copies if copy.damage and copy.is_far]
        if not far:
            return f"delete what is damaged; `dvc checkout {path}` or `dvc repro {self.stage}` brings it back"
        # DVC takes a folder for whole in a remote that has its list.
        listing = f" and the list {_object(self.tracked.md5)}" if self.tracked.is_folder else ""
        return f"delete in the remote what is damaged{listing}; `dvc push -r {far[0]} {path}` brings it back"

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


def outputs(
    revision: Revision, stages: Iterable[str], scratch: Path, remotes: Iterable[Remote] = ()
) -> list[Output]:
    """Every output of some stages, with the copies that are at hand, each hashed again.

    Args:
        revision: Whose dvc.lock says what they are. In the workspace's case, copies in it count.
        stages: Their names.
        scratch: A folder to work in; what only a remote has is left there.
        remotes: Where copies are looked for, too.

    Raises:
        LineageError: A remote cannot be read.
    """
    found = [
        _output(revision, stage, out, scratch) for stage in stages for out in revision.lock.stages[stage].outs
    ]
    _rehash([(output, copy) for output in found for copy in output.copies], scratch)
    for number, remote in enumerate(remotes):
        _look(remote, found, scratch / "remotes" / str(number))
    return found


def _look(remote: Remote, found: Sequence[Output], scratch: Path) -> None:
    """Adds the copies in a remote: those in a folder are read where they lie, others are fetched file by file."""
    place = f"{_REMOTE}{remote.name}"
    if remote.is_folder:
        copies = [(output, copy) for output in found for copy in _in_store(place, remote.at, output)]
        for output, copy in copies:
            output.copies.append(copy)
        _rehash(copies, scratch, f"hashing {place}")
        return
    total = sum(output.tracked.size for output in found)
    with tqdm(total=total, desc=f"fetching {place}", unit="B", unit_scale=True, disable=None, delay=1) as bar:
        fetched = Fetched(remote, scratch, bar)
        for output in found:
            # What is whole here is only compared.
            is_kept = output.whole is None
            for copy in _in_store(place, fetched.keep if is_kept else fetched.hash, output):
                output.copies.append(copy)
                if is_kept:
                    _rehash([(output, copy)], scratch)
                else:
                    _judge(output, copy, fetched.sums)


def _rehash(copies: Sequence[tuple[Output, Copy]], scratch: Path, label: str = "hashing") -> None:
    """Reads copies of outputs once, and notes what each is."""
    wanted: dict[Path, Rows | None] = {path: None for _, copy in copies for path in copy.files.values()}
    of_rows: set[str] = set()
    for output, copy in copies:
        folder = output.tracked.path
        dataset = pixels.dataset(folder)
        # Of one copy: the others are the same, or damaged.
        if dataset and not copy.is_part and not output.sha256 and folder not in of_rows:
            of_rows.add(folder)
            wanted |= pixels.rows(copy.files, dataset, scratch)
        if output.is_archive:
            wanted |= {path: Rows(0, max(path.stat().st_size, 1), 1) for path in copy.files.values()}
    hashed = all_sums(wanted, label)
    for output, copy in copies:
        _judge(output, copy, hashed)
        for name, path in copy.files.items() if not copy.damage else ():
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
    copy = Copy("generated again", {"": target})
    output.copies.append(copy)
    _rehash([(output, copy)], folder)


def _output(revision: Revision, stage: str, tracked: Tracked, scratch: Path) -> Output:
    kept = revision.out(stage, tracked.path)
    output = Output(stage, tracked, [], {} if tracked.is_folder else {"": tracked.md5}, kept.is_pushed)
    if revision.commit is None:
        output.copies += _in_workspace(Path(revision.repo.root_dir) / tracked.path)
    elif kept.is_in_git:
        output.copies += _in_git(revision, tracked, scratch)
    output.copies += _in_store("cache", partial(in_folder, revision.repo.cache.local), output)
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


def _in_store(place: str, at: Callable[[str], Path | None], output: Output) -> Iterator[Copy]:
    """The copy in DVC's cache or in a remote; what a folder holds is noted in the output.

    Args:
        place: What it is called.
        at: Where an object lies, by its MD5; None where it is not there.
        output: Whose copy.
    """
    md5 = output.tracked.md5
    listing = at(md5) if output.tracked.is_folder else None
    if listing is not None:
        listed = folder_files(listing.read_bytes())
        if folder_md5(listed) != md5:
            yield Copy(place, {}, [f"{_object(md5)} lists other files than when it was written"])
            return
        output.members = listed
    found = {name: at(member) for name, member in output.members.items()}
    files = {name: path for name, path in found.items() if path is not None}
    is_listed = listing is not None or not output.tracked.is_folder
    is_part = not is_listed or len(files) < len(found)
    if files or not is_part:
        yield Copy(place, files, is_part=is_part)


def _judge(output: Output, copy: Copy, hashed: Mapping[Path, Sums]) -> None:
    """Notes what is wrong with a copy, by the sums of its files; a part that is whole is left out."""
    if copy.damage:
        return
    tracked = output.tracked
    found = {name: hashed[path].md5 for name, path in copy.files.items()}
    if tracked.is_folder and "" not in found and folder_md5(found) == tracked.md5:
        output.members = found
    members = {name: output.members[name] for name in found} if copy.is_part else output.members
    if found != members:
        copy.damage += _differences(output, copy, found, members)
    elif copy.is_part:
        output.copies.remove(copy)
    else:
        size = sum(hashed[path].size for path in copy.files.values())
        files = len(found) if tracked.is_folder else None
        if (size, files) != (tracked.size, tracked.nfiles):
            copy.damage.append(f"{size:,} bytes, {files} files; dvc.lock says {tracked.size:,}, {tracked.nfiles}")


def _differences(
    output: Output, copy: Copy, found: Mapping[str, str], members: Mapping[str, str]
) -> Iterator[str]:
    path, is_object = output.tracked.path, copy.place == "cache" or copy.is_far
    if not members:
        yield f"{path} has together md5 {folder_md5(found) if '' not in found else found['']}"
    for name in sorted(found.keys() | members.keys()) if members else ():
        where = f"{path}/{name}".rstrip("/") + (f" ({_object(members[name])})" if is_object else "")
        if name not in found:
            yield f"{where} is not there"
        elif name not in members:
            yield f"{where} is there besides"
        elif found[name] != members[name]:
            yield f"{where} has md5 {found[name]}, not {members[name]}"


def _object(md5: str) -> str:
    """Where DVC's cache, or a remote, has an object."""
    return f"files/md5/{md5[:2]}/{md5[2:]}"
