"""What the machine gives: cores, memory, a cluster, compiled loops, accelerators."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from glassbox.doctor.finding import Finding, refused, size

#: Bytes that a process takes that resizes full-size films, and a training at the published settings.
_WORKER, _TRAINING = 400_000_000, 3_000_000_000
#: Seconds a scheduler has to answer, and TensorFlow to find its devices.
_ANSWER, _DEVICES = 5, 300
#: Where NVIDIA's driver lists its devices.
_NVIDIA = Path("/proc/driver/nvidia/gpus")
_ASK = """
import json, tensorflow as tf
found = tf.config.list_physical_devices("GPU")
names = [tf.config.experimental.get_device_details(gpu).get("device_name") or gpu.name for gpu in found]
print(json.dumps(names))
"""


def cores() -> Finding:
    """How many cores this process may use; one process resizes on each."""
    from dask.system import cpu_count

    allowed, granted = len(os.sched_getaffinity(0)), cpu_count()
    quota = f", as many as a control group grants of {allowed}" if granted < allowed else ""
    return Finding("cores", "ok", f"{granted}{quota}")


def memory() -> Finding:
    """Whether the memory, with the limits of control groups, is enough to resize on every core, and to train."""
    from dask.system import cpu_count
    from distributed.system import memory_limit

    there, workers = memory_limit(), cpu_count()
    found = f"{size(there)}; resizing takes up to {size(workers * _WORKER)}, training up to {size(_TRAINING)}"
    if there < max(workers * _WORKER, _TRAINING):
        action = (
            "resize on a cluster (DASK_SCHEDULER_ADDRESS) or on fewer cores (`taskset`)"
            if there < workers * _WORKER
            else "set training.batch_size lower if training is killed"
        )
        return Finding("memory", "warning", found, action)
    return Finding("memory", "ok", found)


def cluster() -> Finding:
    """Whether the cluster that is named answers, and has workers."""
    from glassbox.shards.cluster import ADDRESS, ClusterError, ask

    address = os.environ.get(ADDRESS)
    if not address:
        return Finding("Dask", "ok", f"{ADDRESS} is not set: resizing runs on this machine")
    try:
        threads = [worker["nthreads"] for worker in ask(address, _ANSWER)["workers"].values()]
    except ClusterError as error:
        return refused("Dask", error)
    found = f"{address}: {len(threads)} workers, {sum(threads)} threads"
    if not threads:
        return Finding("Dask", "warning", found, "start `dask worker`: until then resizing waits")
    return Finding("Dask", "ok", f"{found}; they must see this folder under the same path")


def loops() -> Finding:
    """Whether the loops that make pixels are compiled."""
    from glassbox.shards import compiled

    if reason := compiled.load().reason:
        found = f"none ({reason}): the same pixels are made more slowly"
        return Finding("compiled loops", "warning", found, "run `uv sync`, and make the temporary folder writable")
    return Finding("compiled loops", "ok", "at hand")


def accelerators(listed: Path = _NVIDIA) -> Finding:
    """What TensorFlow computes on. It is asked in a process of its own, which it may end.

    Args:
        listed: A folder with an entry for each GPU that NVIDIA's driver knows.
    """
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
        return Finding("accelerators", "problem", found, "see whether `nvidia-smi` answers; restart the driver")
    if asked.returncode < 0:
        found = f"TensorFlow crashed when it was imported: {signal.strsignal(-asked.returncode)}"
        action = "use a machine whose CPU has AVX, and enough memory"
        return Finding("accelerators", "problem", found, action)
    if asked.returncode:
        found = f"TensorFlow cannot be imported: {(asked.stderr.strip().splitlines() or ['?'])[-1]}"
        return Finding("accelerators", "problem", found, "run `uv sync`")
    if names := json.loads(asked.stdout.splitlines()[-1]):
        return Finding("accelerators", "ok", ", ".join(names))
    if listed.is_dir() and (count := len(list(listed.iterdir()))):
        return Finding(
            "accelerators",
            "warning",
            f"TensorFlow does not see the {count} of NVIDIA's driver and computes on the CPU",
            "install CUDA's libraries: `uv pip install 'tensorflow[and-cuda]'` in the version that is here",
        )
    return Finding("accelerators", "ok", "none: TensorFlow computes on the CPU")
