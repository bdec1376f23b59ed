"""The kind of processor: what libraries choose their code and their blocks of memory by."""

from __future__ import annotations

import os
import platform
from pathlib import Path

#: Extensions by which Eigen, oneDNN, NumPy and OpenCV choose between kernels; others change no sum.
_EXTENSIONS = ("sse4_2", "avx", "avx2", "fma", "avx512", "avx_vnni", "amx", "asimd", "sve", "bf16")
_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")


def processor() -> dict[str, str]:
    """Architecture, vendor, family, vector extensions and cache sizes as Linux tells them, or `unknown`.

    The model's name is left out: within a family, models differ in clock and cores, which change no bit.
    """
    said = _cpuinfo()
    flags = sorted(
        flag for flag in (said.get("flags") or said.get("Features", "")).split() if flag.startswith(_EXTENSIONS)
    )
    return {
        "architecture": platform.machine(),
        "vendor": said.get("vendor_id") or said.get("CPU implementer") or "unknown",
        "family": said.get("cpu family") or said.get("CPU architecture") or "unknown",
        "vector_extensions": " ".join(flags) or "unknown",
        "caches": _caches(),
    }


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cpuinfo() -> dict[str, str]:
    """The first processor's entry of /proc/cpuinfo."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return {}
    lines = (line.partition(":") for line in text.split("\n\n")[0].splitlines())
    return {name.strip(): value.strip() for name, _, value in lines}


def _caches() -> str:
    """The sizes of the first core's caches: `L1 Data 48K, L2 Unified 2048K`; instructions' apart."""
    found = []
    for index in sorted(_CACHES.glob("index*")):
        try:
            level, kind, size = ((index / name).read_text().strip() for name in ("level", "type", "size"))
        except OSError:
            continue
        if kind != "Instruction":
            found.append(f"L{level} {kind} {size}")
    return ", ".join(found) or "unknown"
