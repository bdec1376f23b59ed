import signal
import subprocess
import sys

import pytest

_KEPT_BACK = """
import os, sys
from glassbox.backend import quiet_unless_it_fails
with quiet_unless_it_fails():
    os.write(2, b"a notice\\n")
    {end}
os.write(2, b"afterwards\\n")
"""


def _run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_what_is_said_later_is_shown():
    done = _run(_KEPT_BACK.format(end="pass"))
    assert (done.returncode, done.stderr) == (0, "afterwards\n")


@pytest.mark.parametrize(
    ("end", "status"),
    [("sys.exit('no such library')", 1), ("os.abort()", -signal.SIGABRT), ("os.kill(os.getpid(), 9)", -9)],
)
def test_a_start_that_fails_shows_what_was_said(end, status):
    done = _run(_KEPT_BACK.format(end=end))
    assert done.returncode == status
    assert done.stderr.startswith("a notice\n")
