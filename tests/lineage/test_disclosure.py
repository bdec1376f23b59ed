"""A proof shows that one patient's images were in; without the salt, and after it is forgotten, nothing does."""

import json
import time

import numpy as np
import pytest
import small_record

from glassbox.lineage.parcel import vault, verify
from glassbox.lineage.parcel.merkle import Tree
from glassbox.lineage.parcel.parcel import ParcelError, disclose
from glassbox.lineage.parcel.patients import leaves, proof, salted
from glassbox.lineage.parcel.vault import VaultError, forget

#: Patients of NIH's archive.
NIH = 30_805


def disclosed(exported, tmp_path, *patient_ids):
    return disclose(exported.parcel, exported.salts, patient_ids, tmp_path / "proofs")


def test_a_patient_has_one_leaf_with_all_images_in_order():
    rows = small_record.images()
    of = {leaf["patient_id"]: leaf["images"] for leaf in leaves(rows.iloc[::-1])}
    assert of.keys() == set(rows["patient_id"])
    expected = rows[rows["patient_id"] == "00003"].drop(columns="patient_id").to_dict("records")
    assert of["00003"] == expected
    assert len(expected) == 3


def test_proofs_hold_and_name_the_patient_and_the_images(exported, tmp_path, capsys):
    proofs = disclosed(exported, tmp_path, "00003", "00020")
    assert exported.check(*proofs) == 0
    said = capsys.readouterr().out
    assert "patient 00003 was in, with the images that it lists: 3 in train" in said
    assert "patient 00020 was in, with the images that it lists: 2 in test" in said
    for path, patient in zip(proofs, ("00003", "00020"), strict=True):
        told = json.loads(path.read_bytes())
        rows = exported.record.images
        assert told["leaf"]["images"] == rows[rows["patient_id"] == patient].drop(columns="patient_id").to_dict(
            "records"
        )
        assert patient not in path.name


def test_every_patient_can_be_disclosed(exported, tmp_path):
    proofs = disclosed(exported, tmp_path, *exported.record.images["patient_id"].unique())
    assert len(set(proofs)) == 20
    assert exported.check(*proofs) == 0


def test_a_proof_fails_after_any_one_byte_changed(exported, tmp_path, capsys):
    (path,) = disclosed(exported, tmp_path, "00003")
    content, generator = path.read_bytes(), np.random.default_rng(3)
    for place in generator.choice(len(content), 60, replace=False):
        changed = bytearray(content)
        changed[place] = generator.choice([byte for byte in range(32, 127) if byte != content[place]])
        path.write_bytes(changed)
        assert exported.check(path) == 1, place
        (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("FAIL")]
        assert path.name in line


@pytest.mark.parametrize("change", ["blanks", "base64 with stray bits"])
def test_a_proof_has_one_form(exported, tmp_path, change):
    (path,) = disclosed(exported, tmp_path, "00003")
    told = json.loads(path.read_bytes())
    if change == "blanks":
        path.write_text(json.dumps(told, sort_keys=True))
    else:
        # The last letter before the padding carries two bits that no byte takes.
        letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
        salt = told["salt"]
        stray = letters[letters.index(salt[-2]) + 1]
        path.write_bytes(verify.canonical(told | {"salt": f"{salt[:-2]}{stray}="}))
    assert exported.check(path) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"index": -1},
        {"index": 20},
        {"index": "0"},
        {"index": 10**400},
        {"leaves": 10**400},
        {"leaf": None},
        {"leaf": {"patient_id": "00003", "images": []}},
        {"path": []},
        {"path": [1]},
        {"salt": ""},
        {"root": "ab" * 32},
    ],
    ids=str,
)
def test_a_proof_of_something_else_is_refused(exported, tmp_path, capsys, change):
    (path,) = disclosed(exported, tmp_path, "00003")
    path.write_bytes(verify.canonical(json.loads(path.read_bytes()) | change))
    assert exported.check(path) == 1
    assert path.name in capsys.readouterr().out.splitlines()[-2]


def test_a_patient_of_another_parcel_is_not_in_this_one(exported, tmp_path, signing_key):
    from glassbox.lineage.parcel.parcel import export

    other = export(small_record.record(patients=30), tmp_path / "other", signing_key, exported.salts)
    proofs = disclose(other.path, exported.salts, ["00003"], tmp_path / "proofs")
    assert verify.main(["--parcel", str(other.path), str(proofs[0])]) == 0
    assert exported.check(*proofs) == 1


def test_after_an_erasure_signature_and_the_others_proofs_hold_and_nobody_shows_the_patient(exported, tmp_path):
    before = disclosed(exported, tmp_path, "00004", "00006")
    (changed,) = forget(exported.salts, ["00005"])
    assert changed == vault.path(exported.salts, exported.root)
    assert "00005" not in changed.read_text()
    assert changed.stat().st_mode & 0o777 == 0o600
    assert exported.check(*before, *disclosed(exported, tmp_path, "00004", "00006")) == 0
    with pytest.raises(VaultError, match="has no patient 00005"):
        disclosed(exported, tmp_path, "00004", "00005")
    assert forget(exported.salts, ["00005"]) == []


def test_to_forget_reaches_every_parcel(exported, tmp_path, signing_key):
    from glassbox.lineage.parcel.parcel import export

    export(small_record.record(patients=30), tmp_path / "other", signing_key, exported.salts)
    assert len(forget(exported.salts, ["00005", "00025"])) == 2
    assert len(forget(exported.salts, ["00026"])) == 1


def test_what_somebody_guesses_of_a_patient_is_not_found_in_the_parcel(exported):
    """Who knows all images of a patient, and not the salt, cannot tell whether the patient is in."""
    digests = set(exported.document(verify.PATIENTS)["leaves"])
    for leaf in leaves(exported.record.images):
        assert verify.leaf_hash(b"", verify.canonical(leaf)).hex() not in digests
        assert verify.leaf_hash(bytes(32), verify.canonical(leaf)).hex() not in digests


def test_the_order_of_the_leaves_says_nothing_of_the_patients(exported):
    told = exported.document(verify.PATIENTS)["leaves"]
    assert told == sorted(told)


@pytest.mark.parametrize("damage", ["missing", "cut off", "another salt", "no JSON"])
def test_damaged_secrets_are_refused_by_their_file(exported, tmp_path, damage):
    place = vault.path(exported.salts, exported.root)
    lines = place.read_bytes().splitlines(keepends=True)
    (at,) = (number for number, line in enumerate(lines) if b'"patient_id":"00003"' in line)
    if damage == "missing":
        place.unlink()
    elif damage == "cut off":
        place.write_bytes(lines[at][:-5])
    elif damage == "another salt":
        entry = json.loads(lines[at])
        entry["salt"] = "A" * 43 + "="
        place.write_bytes(verify.canonical(entry) + b"\n")
    else:
        place.write_bytes(b"{" + lines[at])
    with pytest.raises(VaultError, match=place.name):
        disclosed(exported, tmp_path, "00003")
    assert not (tmp_path / "proofs").exists()


@pytest.mark.parametrize("content", [None, b"", b"[]", b'{"leaves": ["zz"], "root": ""}', b'{"leaves": []}'])
def test_what_is_no_parcel_discloses_nothing(exported, tmp_path, content):
    place = exported.parcel / verify.PATIENTS
    if content is None:
        place.unlink()
    else:
        place.write_bytes(content)
    with pytest.raises(ParcelError, match=r"patients\.json"):
        disclosed(exported, tmp_path, "00003")


def test_a_parcel_holds_no_proofs(exported):
    with pytest.raises(ParcelError, match="holds no proofs"):
        disclose(exported.parcel, exported.salts, ["00003"], exported.parcel)


def test_among_nihs_patients_a_proof_is_small_and_quick():
    kept = salted({"patient_id": f"{number:05}", "images": []} for number in range(NIH))
    tree = Tree([each.digest for each in kept])
    root, seconds = tree.root.hex(), []
    for index in (0, 1, NIH // 2, NIH - 2, NIH - 1):
        started = time.perf_counter()
        content = proof(tree, index, kept[index])
        verify.checked_proof(content, root, NIH)
        seconds.append(time.perf_counter() - started)
        assert len(content) - len(verify.canonical(kept[index].leaf)) <= 1000
    assert min(seconds) <= 0.01
