"""A parcel, written once and copied for each test that damages it."""

from __future__ import annotations

import shutil

import pytest
import small_record
from cryptography.hazmat.primitives.asymmetric import ed25519
from small_parcel import Exported, write_key

from glassbox.lineage.parcel import export


@pytest.fixture(scope="session")
def signing_key(tmp_path_factory):
    """A file with an Ed25519 key."""
    folder = tmp_path_factory.mktemp("key")
    return write_key(folder / "key.pem", ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32))))


@pytest.fixture(scope="session")
def exported_once(tmp_path_factory, signing_key):
    """A parcel that no test changes."""
    folder, record = tmp_path_factory.mktemp("exported"), small_record.record()
    parcel = export(record, folder / "parcel", signing_key, folder / "secrets")
    return Exported(record, parcel.path, folder / "secrets", signing_key, parcel.root)


@pytest.fixture
def exported(tmp_path, exported_once):
    """A copy of it."""
    shutil.copytree(exported_once.parcel, tmp_path / "parcel")
    shutil.copytree(exported_once.salts, tmp_path / "secrets")
    return exported_once._replace(parcel=tmp_path / "parcel", salts=tmp_path / "secrets")
