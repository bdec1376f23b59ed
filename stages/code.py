"""Check all parameters, and write down which code and which packages each stage depends on."""

from pathlib import Path

from glassbox.code.digests import write_all
from glassbox.params.document import load
from glassbox.stage import enter


def work() -> None:
    """Checks, then writes: a typo is found before any film is touched."""
    load()
    write_all(Path())


if __name__ == "__main__":
    enter("code", work, keyed=False)
