"""What the machine gives: room on its disks, cores, memory, a cluster, compiled loops, accelerators."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from glassbox.artifacts import archive, shards
from glassbox.artifacts.damage import ArtifactError
from glassbox.doctor.finding import Caution, Problem, existing, size
from glassbox.paths import DATA

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dvc.repo import Repo

    from glassbox.doctor.inputs import Archive
    from glassbox.params.document import Params

#: Seconds a scheduler has to answer, and TensorFlow to find its devices.
_ANSWER, _DEVICES = 5, 300
_ASK = """
import json, tensorflow as tf
found = tf.config.list_physical_devices("GPU")
names = [tf.config.experimental.get_device_details(gpu).get("device_name") or gpu.name for gpu in found]
print(json.dumps(names))
"""


def link(repo: Repo) -> tuple[str, str]:
    """How DVC puts what is in its cache into the workspace: the first way of its configuration that works.

    DVC's own test makes a file in the cache, links it into `data/`, and removes both. The value is `reflink`,
    `hardlink` or `symlink`; a copy is a `Caution`.
    """
    from dvc.fs import generic

    links, cache = ["reflink", "hardlink", "symlink"], repo.cache.local
    folder, target = existing(Path(cache.path)), repo.fs.join(str(existing(DATA)), "link")
    able = generic.test_links([*links, "copy"], cache.fs, str(folder), repo.fs, target)
    used = next((way for way in cache.cache_types if way in able), None)
    better = "run `dvc config --local cache.type reflink,hardlink,symlink`" if set(able) & set(links) else ""
    if used is None:
        found = f"none of {', '.join(cache.cache_types)} works between {cache.path} and data/"
        raise Problem(found, better or "run `dvc config --local cache.type copy`")
    if used == "copy":
        apart = "move cache and data/ to one disk, or reckon with twice the room"
        raise Caution("copy: what DVC tracks lies on the disk twice", better or apart)
    return f"{used}: what DVC tracks lies on the disk once", used


def room(params: Params, archives: Mapping[str, Archive], way: str, kept: Path) -> str:
    """Whether the disks have room for the archives and shards that are not made yet.

    An archive takes its size, shards images x size^2 bytes; models and predictions are small beside them. They lie
    in `data/`, and in DVC's cache once more where `way` (see `link`) is `copy`. With `symlink` they lie in the
    cache, and in `data/` while they are made.
    """
    sizes = {archive.path(key): known.bytes for key, known in archives.items() if not known.made}
    for key, dataset in params.datasets.items():
        source = archives.get(dataset.source)
        if source and not (source.made and _side(key) == dataset.size):
            sizes[shards.folder(key)] = None if source.images is None else source.images * dataset.size**2
    counted = [count for count in sizes.values() if count is not None]
    needs = {DATA: sum(counted), kept: sum(counted) if way in {"symlink", "copy"} else 0}
    if way == "symlink":
        needs[DATA] = max(counted, default=0)
    if existing(DATA).stat().st_dev == existing(kept).stat().st_dev:
        needs = {DATA: sum(needs.values())}
    free = {path: shutil.disk_usage(existing(path)).free for path in needs}
    found = "; ".join(f"{size(free[path])} free for {path}, {size(needs[path])} more needed" for path in needs)
    if lacking := [f"{size(needs[path] - free[path])} for {path}" for path in needs if needs[path] > free[path]]:
        raise Problem(found, f"free {' and '.join(lacking)}, or use a larger disk")
    if unknown := ", ".join(str(path) for path, count in sizes.items() if count is None):
        action = "see the dataset's page and compare with what is free"
        raise Caution(f"{found}; nobody knows yet how large these will be: {unknown}", action)
    return found


def _side(dataset: str) -> int | None:
    """Width and height of the finished images of a dataset, in pixels."""
    try:
        return int(shards.read_index(dataset).facts["size"])
    except ArtifactError:
        return None


def cores() -> str:
    """How many cores affinity and control groups leave to this process; one process resizes on each."""
    from dask.system import cpu_count

    return f"{cpu_count()} of the machine's {os.cpu_count()}"


def memory() -> str:
    """Whether the memory, with the limits of control groups, is enough to resize on every core, and to train."""
    from dask.system import cpu_count
    from distributed.system import memory_limit

    from glassbox.grids.train import TAKES as A_TRAINING
    from glassbox.shards.build import TAKES as A_SHARD

    there, workers, training = memory_limit(), cpu_count() * A_SHARD["MEMORY"], A_TRAINING["MEMORY"]
    found = f"{size(there)}; resizing takes up to {size(workers)}, training up to {size(training)}"
    if there < workers:
        raise Caution(found, "resize on a cluster (DASK_SCHEDULER_ADDRESS) or on fewer cores (`taskset`)")
    if there < training:
        raise Caution(found, "set training.batch_size lower if training is killed")
    return found


def cluster() -> str:
    """Whether the cluster that is named answers, and has workers."""
    from glassbox.cluster import ADDRESS, ask

    address = os.environ.get(ADDRESS)
    if not address:
        return f"{ADDRESS} is not set: resizing runs on this machine"
    threads = [worker["nthreads"] for worker in ask(address, _ANSWER)["workers"].values()]
    found = f"{address}: {len(threads)} workers, {sum(threads)} threads"
    if not threads:
        raise Caution(found, "start `dask worker`: until then resizing waits")
    return f"{found}; they must see this folder under the same path"


def loops() -> str:
    """Whether the loops that make pixels are compiled."""
    from glassbox.shards import compiled

    if reason := compiled.load().reason:
        found = f"none ({reason}): the same pixels are made more slowly"
        raise Caution(found, "run `uv sync`, and make the temporary folder writable")
    return "at hand"


def accelerators() -> str:
    """What TensorFlow computes on. It is asked in a process of its own, which it may end."""
    from glassbox.cluster import NVIDIA

    if sys.stderr.isatty():
        print("looking for accelerators ...", file=sys.stderr)
    try:
        asked = subprocess.run(
            [sys.executable, "-c", _ASK],
            env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
            capture_output=True,
            text=True,
            timeout=_DEVICES,
            check=False,
        )
    except subprocess.TimeoutExpired:
        found = f"TensorFlow did not say within {_DEVICES} s"
        raise Problem(found, "see whether `nvidia-smi` answers; restart the driver") from None
    if asked.returncode < 0:
        found = f"TensorFlow crashed when it was imported: {signal.strsignal(-asked.returncode)}"
        raise Problem(found, "use a machine whose CPU has AVX, and enough memory")
    if asked.returncode:
        reason = (asked.stderr.strip().splitlines() or ["?"])[-1]
        raise Problem(f"TensorFlow cannot be imported: {reason}", "run `uv sync`")
    if names := json.loads(asked.stdout.splitlines()[-1]):
        return ", ".join(names)
    # All that the driver has, whatever `CUDA_VISIBLE_DEVICES` leaves of them.
    if count := len(list(NVIDIA.glob("*"))):
        raise Caution(
            f"TensorFlow does not see the {count} of NVIDIA's driver and computes on the CPU",
            "install CUDA's libraries: `uv pip install 'tensorflow[and-cuda]'` in the version that is here",
        )
    return "none: TensorFlow computes on the CPU"
