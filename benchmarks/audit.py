"""What an audit and a trace cost over a cohort of NIH's size: 112,120 images of some 31,000 patients.

    uv run python benchmarks/audit.py [--quick] [--folder FOLDER]

Makes the archive of `scale.py` with films of 64 to 71 pixels a side, and in a copy of this project one
experiment without epochs (the network is the initial one: what an audit follows is the same), built by one `dvc
repro` that is not timed. Each round audits the model in one process, after its imports: `walk_s` is all but the
reading and hashing of files, whose bytes each second are held against those of one big file of the same
content, hashed in the same way (MD5 of all, SHA-256 of each stored image) by one thread (`rehash_share`).
`peak_mb` is the peak of resident memory of `glassbox audit` from start to exit. `proof_bytes` and `proof_ms`
are the largest of 100 membership proofs for 30,805 patients, the leaf aside. `trace_s` is that of `trace.py`, over
200 models, measured by its functions.

Prints a table and, last, one line of JSON. `--quick` takes one round.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import scale
from process import run

from glassbox import profiles
from glassbox.lineage.parcel import patients, verify
from glassbox.lineage.parcel.merkle import Tree

EXPERIMENT, STAGE = "infiltration_vgg16", "fine_tune@infiltration_vgg16"
MODEL = f"models/{EXPERIMENT}/model.keras"
_COMMAND = "from glassbox.cli import main; main()"


def main() -> None:
    """Makes the project, builds it once, measures, and prints what came of it."""
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--quick", action="store_true", help="one round")
    arguments.add_argument("--folder", type=Path, help="where to work, and to leave everything")
    arguments.add_argument("--measure", type=int, help=argparse.SUPPRESS)
    asked = arguments.parse_args()
    if asked.measure:
        _measure(asked.measure)
        return
    with contextlib.nullcontext(asked.folder) if asked.folder else tempfile.TemporaryDirectory() as folder:
        project = Path(folder).resolve() / "project"
        scale.prepare(project, STAGE, _params, sides=(64, 72))
        scale.said(["git", "add", "-A"], project)
        person = ["-c", "user.name=benchmark", "-c", "user.email=benchmark@localhost"]
        scale.said(["git", *person, "commit", "-qm", "Build", "--allow-empty"], project)
        words = [sys.executable, str(Path(__file__).resolve()), "--measure", "1" if asked.quick else "5"]
        rounds = json.loads(scale.said(words, project).splitlines()[-1])
        command = [sys.executable, "-c", _COMMAND, "audit", MODEL]
        peak = run(command, project, scale.environment(project))[0].mb
        # Only here: what it imports is nothing of an audit's.
        import trace

        traced = trace.measured(Path(folder) / "traced", 1 if asked.quick else 5)
    rounds |= _proofs()
    print(f"{'':<14}{'median':>9}   range")
    for name, values in rounds.items():
        print(f"{name:<14}{median(values):>9.2f}   {min(values):.2f}-{max(values):.2f}")
    print(f"{'peak_mb':<14}{peak:>9.0f}")
    figures = {name: round(median(rounds[name]), 3) for name in ("walk_s", "rehash_share")}
    most = {name: round(max(rounds[name]), 3) for name in ("proof_bytes", "proof_ms")}
    figures |= {"trace_s": traced["trace_s"], "peak_mb": round(peak)}
    print(json.dumps({**figures, **most, "images": scale.IMAGES}))


def _params(archive: Path) -> dict[str, object]:
    with contextlib.chdir(scale.ROOT):
        demo = profiles.compose("demo", [])
    experiment = demo["experiments"][EXPERIMENT] | {"weights": "none"}
    for phase in ("warm_start", "fine_tune"):
        experiment[phase] = experiment[phase] | {"epochs": 0}
    split = demo["splits"][experiment["split"]] | {"source": "films", "dataset": "films_64"}
    return {
        "profile": "audit",
        "sources": {"films": scale.source(archive)},
        "withdrawn": {"films": []},
        "datasets": {"films_64": demo["datasets"]["phantom_64"] | {"source": "films"}},
        "splits": {experiment["split"]: split},
        "grids": {},
        "weights": {"none": {"kind": "none"}},
        "experiments": {EXPERIMENT: experiment},
    }


def _measure(rounds: int) -> None:
    """Audits the model of the current folder so many times, and prints the figures of each as JSON."""
    from glassbox.lineage import audit, digests, outputs

    hashing, read = [], {}

    def timed(wanted: dict, label: str) -> dict:
        began = time.perf_counter()
        found = digests.all_sums(wanted, label)
        hashing.append(time.perf_counter() - began)
        read.update(wanted)
        return found

    outputs.all_sums = timed
    figures: dict[str, list[float]] = {
        "audit_s": [],
        "walk_s": [],
        "hash_s": [],
        "one_file_s": [],
        "rehash_share": [],
    }
    for _ in range(rounds + 1):
        hashing.clear()
        began = time.perf_counter()
        assert audit.audit(MODEL, Path.cwd()).passed
        whole, spent = time.perf_counter() - began, sum(hashing)
        one = _one_file(read)
        share = one / spent
        for name, value in zip(figures, (whole, whole - spent, spent, one, share), strict=True):
            figures[name].append(value)
    # The first round warms up.
    print(json.dumps({name: values[1:] for name, values in figures.items()}))


def _proofs() -> dict[str, list[float]]:
    """Bytes, the leaf aside, and milliseconds to check, of membership proofs of 100 of 30,805 patients."""
    count = 30_805
    kept = patients.salted({"patient_id": str(number), "images": []} for number in range(count))
    tree = Tree([one.digest for one in kept])
    sizes, took = [], []
    for index in range(0, count, count // 100):
        proof = patients.proof(tree, index, kept[index])
        sizes.append(len(proof) - len(verify.canonical(kept[index].leaf)))
        began = time.perf_counter()
        verify.checked_proof(proof, tree.root.hex(), count)
        took.append(1000 * (time.perf_counter() - began))
    return {"proof_bytes": sizes, "proof_ms": took}


def _one_file(read: dict) -> float:
    """Seconds for the same hashes, by one thread, over one big file of the same content."""
    from glassbox.lineage.digests import Rows, sums

    big, pixels, seen = Path("work/big"), 64 * 64, set()
    with big.open("wb") as target:
        for path in read:
            if (key := path.stat().st_ino) not in seen:
                seen.add(key)
                target.write(path.read_bytes())
    also = sum(rows.length * rows.number for rows in read.values() if rows)
    began = time.perf_counter()
    sums(big, Rows(0, pixels, also // pixels))
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
