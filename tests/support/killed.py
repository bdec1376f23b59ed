"""A download in a process of its own that kills itself at a chosen moment, as `kill -9` would.

A server that forks such processes imports this module: it has all that takes long to import.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from dying import die_before
from kagglesdk import kaggle_env
from tqdm import tqdm

from glassbox.archives import kaggle
from glassbox.archives.download import download
from glassbox.archives.transfer import RETRIES, Retries

if TYPE_CHECKING:
    from pathlib import Path

    from glassbox.params.sources import KaggleSource

kaggle.client({}, RETRIES)
# Its own lock is the system's, which a killed process leaves behind.
tqdm.set_lock(threading.RLock())


def downloaded(settings: KaggleSource, folder: Path, environment: dict[str, str], operation: int) -> None:
    """Downloads `films` into a project; dies before so many operations on its files."""
    os.environ.update(environment)
    os.chdir(folder)
    kaggle_env._env_to_endpoint[kaggle_env.KaggleEnv.PROD] = environment["GLASSBOX_TEST_KAGGLE"]
    die_before(operation, folder)
    download(settings, "films", Retries(read=5.0))
