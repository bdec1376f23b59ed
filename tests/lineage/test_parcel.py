"""A parcel is whole or absent, signed by the user's key, and follows from its record but for the salts."""

import os
import stat
from pathlib import Path

import pytest
import small_record
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from small_parcel import write_key

from glassbox.lineage.link import Verdict
from glassbox.lineage.parcel import parcel as parcels
from glassbox.lineage.parcel import patients, verify
from glassbox.lineage.parcel.keys import PASSWORD, KeyFileError
from glassbox.lineage.parcel.parcel import ParcelError, export
from glassbox.lineage.parcel.vault import SECRETS

ROOT = Path(__file__).resolve().parents[2]


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def nothing_written(tmp_path):
    """Whether there is nothing but the key."""
    return [path.name for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".pem"] == []


def test_what_is_written_is_said(exported_once):
    parcel, held = exported_once.parcel, contents(exported_once.parcel)
    assert held.keys() == {verify.STATEMENT, *verify.DOCUMENTS}
    assert held[verify.VERIFIER] == (ROOT / "src/glassbox/lineage/parcel/verify.py").read_bytes()
    assert exported_once.document(verify.PATIENTS)["root"] == exported_once.root
    assert exported_once.check() == 0
    assert [path.name for path in exported_once.salts.iterdir()] == [f"{exported_once.root}.jsonl"]
    assert not list(parcel.parent.glob(".*"))


def test_the_same_record_key_and_salts_give_the_same_bytes(tmp_path, signing_key, monkeypatch):
    def once(name):
        salts = iter(number.to_bytes(32, "big") for number in range(1000))
        monkeypatch.setattr(patients.secrets, "token_bytes", lambda _: next(salts))
        export(small_record.record(), tmp_path / name, signing_key, tmp_path / f"{name} salts")
        return contents(tmp_path / name), contents(tmp_path / f"{name} salts")

    assert once("first") == once("second")


def test_two_parcels_of_one_record_have_other_salts_and_so_another_root(tmp_path, exported_once):
    again = export(exported_once.record, tmp_path / "again", exported_once.key, tmp_path)
    assert again.root != exported_once.root
    one = set(exported_once.document(verify.PATIENTS)["leaves"])
    other = set(verify.parsed((again.path / verify.PATIENTS).read_bytes())["leaves"])
    assert len(one) == len(other) == 20
    assert not one & other


def test_a_model_is_held_against_a_parcel_of_an_earlier_version(tmp_path, signing_key, monkeypatch):
    """Those said where the weights lay, and not how often images were shown."""

    def before(*given):
        told = statement(*given)
        internal = told["predicate"]["buildDefinition"]["internalParameters"]
        internal["recipe"]["weights"]["path"] = "/home/somebody/begun.h5"
        for fold in internal["folds"]:
            for name in ("shown", "shown_images", "shown_patients"):
                del fold[name]
        return told

    record, statement = small_record.record(), parcels.statement
    with monkeypatch.context() as patch:
        patch.setattr(parcels, "statement", before)
        export(record, tmp_path / "parcel", signing_key, tmp_path / "secrets")
    (link,) = parcels.compared(record, tmp_path / "parcel", None)
    assert link.verdict == Verdict.VERIFIED
    other = small_record.record(machine=record.machine | {"vendor": "Another"})
    (link,) = parcels.compared(other, tmp_path / "parcel", None)
    assert link.verdict == Verdict.WRONG
    assert link.found.startswith("machine: ")


def test_salts_are_for_their_owner_alone_and_ignored_by_git(tmp_path, signing_key):
    before = os.umask(0)
    try:
        place = export(small_record.record(), tmp_path / "parcel", signing_key, tmp_path / "secrets").salts
    finally:
        os.umask(before)
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert stat.S_IMODE(place.parent.stat().st_mode) == 0o700
    assert f"/{SECRETS}/" in (ROOT / ".gitignore").read_text().splitlines()


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1()], ids=lambda curve: curve.name)
def test_a_key_on_one_of_the_two_curves_signs_the_same_bytes_each_time(tmp_path, curve, monkeypatch):
    key = write_key(tmp_path / "key.pem", ec.generate_private_key(curve))
    monkeypatch.setattr(patients.secrets, "token_bytes", bytes)
    for name in ("one", "other"):
        export(small_record.record(), tmp_path / name, key, tmp_path / "secrets")
        assert verify.main(["--parcel", str(tmp_path / name)]) == 0
    assert contents(tmp_path / "one") == contents(tmp_path / "other")


def test_an_encrypted_key_opens_with_the_password_in_the_environment(tmp_path, monkeypatch):
    key = write_key(tmp_path / "key.pem", ed25519.Ed25519PrivateKey.generate(), b"sesame")
    for password, why in ((None, "holds an encrypted key"), ("open", "does not open with the password")):
        monkeypatch.delenv(PASSWORD, raising=False)
        if password:
            monkeypatch.setenv(PASSWORD, password)
        with pytest.raises(KeyFileError, match=why) as refusal:
            export(small_record.record(), tmp_path / "parcel", key, tmp_path / "secrets")
        assert PASSWORD in str(refusal.value)
        assert nothing_written(tmp_path)
    monkeypatch.setenv(PASSWORD, "sesame")
    export(small_record.record(), tmp_path / "parcel", key, tmp_path / "secrets")
    assert verify.main(["--parcel", str(tmp_path / "parcel")]) == 0


def test_a_password_that_no_key_needs_does_no_harm(tmp_path, signing_key, monkeypatch):
    monkeypatch.setenv(PASSWORD, "sesame")
    export(small_record.record(), tmp_path / "parcel", signing_key, tmp_path / "secrets")


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: rsa.generate_private_key(65537, 2048), "holds an RSA key"),
        (ed448.Ed448PrivateKey.generate, "holds an Ed448 key"),
        (lambda: ec.generate_private_key(ec.SECP521R1()), "holds an ECDSA key on secp521r1"),
    ],
    ids=["rsa", "ed448", "p521"],
)
def test_a_key_of_another_kind_is_refused_by_its_name(tmp_path, make, why):
    key = write_key(tmp_path / "key.pem", make())
    with pytest.raises(KeyFileError, match=why) as refusal:
        export(small_record.record(), tmp_path / "parcel", key, tmp_path / "secrets")
    assert "Ed25519" in refusal.value.expected
    assert nothing_written(tmp_path)


@pytest.mark.parametrize("content", [None, b"", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_what_is_no_key_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "key.pem").write_bytes(content)
    with pytest.raises(KeyFileError, match=r"key\.pem (cannot be read|holds no private key)"):
        export(small_record.record(), tmp_path / "parcel", tmp_path / "key.pem", tmp_path / "secrets")
    assert nothing_written(tmp_path)


def test_a_public_key_signs_nothing(tmp_path, exported):
    with pytest.raises(KeyFileError, match="holds no private key"):
        export(exported.record, tmp_path / "other", exported.parcel / verify.PUBLIC_KEY, tmp_path / "secrets")


@pytest.mark.parametrize("kind", ["folder", "file", "dangling link"])
def test_a_target_that_is_there_is_refused_and_left_alone(tmp_path, signing_key, kind):
    target = tmp_path / "target"
    if kind == "folder":
        target.mkdir()
    elif kind == "file":
        target.write_text("mine")
    else:
        target.symlink_to(tmp_path / "nowhere")
    with pytest.raises(ParcelError, match="is there already"):
        export(small_record.record(), target, signing_key, tmp_path / "secrets")
    assert sorted(tmp_path.iterdir()) == [target]


def test_a_parcel_that_cannot_be_written_leaves_nothing(tmp_path, signing_key, monkeypatch):
    def full(path):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(parcels, "atomic", full)
    with pytest.raises(ParcelError, match="cannot be written: No space left on device"):
        export(small_record.record(), tmp_path / "parcel", signing_key, tmp_path / "secrets")
    assert nothing_written(tmp_path)


@pytest.mark.parametrize("place", ["target", "salts"])
def test_a_folder_that_cannot_be_made_is_refused(tmp_path, signing_key, place):
    (tmp_path / "file").write_text("mine")
    places = {"target": tmp_path / "parcel", "salts": tmp_path / "secrets"} | {place: tmp_path / "file" / "folder"}
    with pytest.raises(ParcelError, match="cannot be written"):
        export(small_record.record(), places["target"], signing_key, places["salts"])
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / "file"]


def test_a_parcel_that_breaks_off_leaves_nothing(tmp_path, signing_key, monkeypatch):
    written = []

    def fails_in_the_middle(path, content, write=Path.write_bytes):
        written.append(path.name)
        if len(written) == 3:
            raise OSError(5, "Input/output error", str(path))
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", fails_in_the_middle)
    with pytest.raises(ParcelError, match="Input/output error"):
        export(small_record.record(), tmp_path / "parcel", signing_key, tmp_path / "secrets")
    assert len(written) == 3
    assert nothing_written(tmp_path)
