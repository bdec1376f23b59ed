import hashlib
import io
from pathlib import Path

import numpy as np
import pytest

from glassbox.sources.checksums import checksums


@pytest.mark.parametrize("size", [0, 1, 4 * 1024 * 1024, 9_000_001], ids=["empty", "a byte", "a block", "blocks"])
def test_all_sums_and_the_copy_come_from_one_reading(size: int, tmp_path: Path) -> None:
    content = np.random.default_rng(1).bytes(size)
    (tmp_path / "file").write_bytes(content)
    copy = io.BytesIO()
    md5, sha256 = checksums(tmp_path / "file", "md5", "sha256", copy=copy)
    assert md5 == hashlib.md5(content, usedforsecurity=False).hexdigest()
    assert sha256 == hashlib.sha256(content).hexdigest()
    assert copy.getvalue() == content
