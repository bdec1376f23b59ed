"""`verify.py` needs nothing of ours, fails after any change of one byte, and never with a traceback."""

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import small_record
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from small_parcel import write_key

from glassbox.lineage.parcel import keys, verify
from glassbox.lineage.parcel.parcel import export

NAMES = (verify.STATEMENT, *verify.DOCUMENTS)


def failed(capsys):
    """The lines of the checks that failed."""
    return [line for line in capsys.readouterr().out.splitlines() if line.startswith("FAIL")]


def sign_anew(exported, change, form=verify.canonical):
    """Puts another statement into a parcel, signed with its key."""
    statement = exported.statement()
    change(statement)
    payload, key = form(statement), keys.load(exported.key)
    signature = keys.sign(key, verify.pae(payload))
    envelope = verify.envelope(payload, verify.fingerprint(key.public_key()), signature)
    (exported.parcel / verify.STATEMENT).write_bytes(envelope)


def replace(exported, name, content):
    """Puts another document into a parcel and signs its digest with the parcel's key."""
    (exported.parcel / name).write_bytes(content)

    def change(statement):
        (subject,) = (each for each in statement["subject"] if each["name"] == name)
        subject["digest"] = {"sha256": verify.sha256(content)}

    sign_anew(exported, change)


def test_it_imports_the_standard_library_and_cryptography_alone():
    tree = ast.parse(Path(verify.__file__).read_text())
    names = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    names |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert {name.partition(".")[0] for name in names} - sys.stdlib_module_names == {"cryptography"}


def test_it_runs_where_there_is_nothing_but_cryptography(tmp_path, exported):
    """The interpreter starts without installed packages and finds cryptography and what that needs."""
    import _cffi_backend
    import cryptography

    packages = tmp_path / "packages"
    packages.mkdir()
    (packages / "cryptography").symlink_to(Path(cryptography.__file__).parent)
    backend = Path(_cffi_backend.__file__)
    (packages / backend.name).symlink_to(backend)

    def run(*arguments, path=packages):
        command = [sys.executable, "-S", "-B", exported.parcel / "verify.py", *arguments]
        environment = {**os.environ, "PYTHONPATH": str(path)}
        return subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)

    passed = run("--key", exported.parcel / verify.PUBLIC_KEY)
    assert (passed.returncode, passed.stderr) == (0, "")
    assert passed.stdout.splitlines()[-1].strip() == "Every check passed."
    assert sorted(path.name for path in exported.parcel.iterdir()) == sorted(NAMES)

    lacking = run(path=tmp_path)
    assert lacking.returncode == 1
    assert lacking.stderr == "verify.py needs the package cryptography: run `pip install cryptography`\n"
    assert run("--nonsense").returncode == 1


def test_it_tells_first_what_has_to_be_compared_by_another_way(exported, capsys):
    assert exported.check() == 0
    lines = capsys.readouterr().out.splitlines()
    digest = verify.sha256((exported.parcel / verify.VERIFIER).read_bytes())
    assert lines[0].split() == ["SHA-256", "of", "verify.py:", digest]
    fingerprint = verify.fingerprint(keys.load(exported.key).public_key())
    assert any(line.split() == ["SHA-256", "of", "the", "key:", fingerprint] for line in lines)


def fails_after(exported, capsys, name, places):
    """Whether each change of one byte is found: to any other byte, to a letter, and of a blank to a tab."""
    path, generator = exported.parcel / name, np.random.default_rng(NAMES.index(name))
    content = path.read_bytes()
    # Another byte may make another whole key: then it is the statement that was not signed with it.
    blamed = {name, verify.STATEMENT} if name == verify.PUBLIC_KEY else {name}
    for turn, place in enumerate(places(content, generator)):
        byte = content[place]
        among = b"\t" if byte in b" \n" else b"AQgw0129efz+/=" if turn % 2 else bytes(range(256))
        changed = bytearray(content)
        changed[place] = generator.choice([other for other in among if other != byte])
        path.write_bytes(changed)
        assert exported.check() == 1, (name, place)
        assert any(each in line for line in failed(capsys) for each in blamed), (name, place)


@pytest.mark.parametrize("name", NAMES)
def test_it_fails_after_any_one_byte_changed(exported, capsys, name):
    def some(content, generator):
        blanks = [place for place, byte in enumerate(content) if byte in b" \n"] or [0]
        return [0, len(content) - 1, *generator.choice(blanks, 4), *generator.choice(len(content), 16)]

    fails_after(exported, capsys, name, some)


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_it_fails_after_each_single_byte_changed(exported, capsys, name):
    fails_after(exported, capsys, name, lambda content, _: range(len(content)))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "damage",
    [
        lambda _: b"",
        lambda content: content[: len(content) // 2],
        lambda content: content + b"\n",
        lambda content: b" " + content,
        lambda _: b"[" * 100_000,
        lambda content: b"\xff\xfe" + content,
        lambda _: b"null",
        lambda _: b'{"payload": 1, "signatures": [], "\\ud800": ' + b"9" * 5000 + b"}",
        None,
    ],
    ids=["empty", "half", "longer", "blank", "deep", "no text", "null", "odd", "missing"],
)
def test_it_refuses_a_damaged_file_by_its_name(exported, capsys, name, damage):
    path = exported.parcel / name
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage(path.read_bytes()))
    assert exported.check() == 1
    assert any(name in line for line in failed(capsys))


def test_a_parcel_holds_its_files_and_nothing_else(exported, capsys, tmp_path):
    extra = exported.parcel / "notes\x1b[2J.txt"
    extra.write_text("")
    assert exported.check() == 1
    (line,) = failed(capsys)
    assert "notes\\x1b[2J.txt, which is no part of a parcel" in line
    extra.unlink()
    (exported.parcel / verify.BOM).rename(tmp_path / "bom")
    (exported.parcel / verify.BOM).symlink_to(tmp_path / "bom")
    assert exported.check() == 1
    assert f"holds {verify.BOM}, which is no plain file" in failed(capsys)[0]
    shutil.rmtree(exported.parcel)
    assert exported.check() == 1


def test_the_key_is_the_one_that_the_user_names(exported, tmp_path, capsys):
    """Whoever replaces the whole parcel signs it with a key of their own."""
    other = write_key(tmp_path / "other.pem", ed25519.Ed25519PrivateKey.generate())
    forged = export(exported.record, tmp_path / "forged", other, tmp_path / "secrets")
    named = tmp_path / "named.pem"
    named.write_bytes((exported.parcel / verify.PUBLIC_KEY).read_bytes())
    assert exported.check("--key", named) == 0
    assert verify.main(["--parcel", str(forged.path)]) == 0
    capsys.readouterr()
    assert verify.main(["--parcel", str(forged.path), "--key", str(named)]) == 1
    assert "is another key than that of the parcel" in failed(capsys)[0]
    # Only the statement is replaced, or only the key.
    shutil.copy(forged.path / verify.STATEMENT, exported.parcel)
    assert exported.check() == 1
    assert "was signed with another key" in failed(capsys)[0]


@pytest.mark.parametrize("key", ["nowhere.pem", "private.pem", "p521.pem", "text.pem"])
def test_what_is_no_public_key_is_refused(exported, tmp_path, capsys, key):
    path = tmp_path / key
    if key == "private.pem":
        write_key(path, ed25519.Ed25519PrivateKey.generate())
    elif key == "p521.pem":
        path.write_bytes(keys.public_pem(ec.generate_private_key(ec.SECP521R1())))
    elif key == "text.pem":
        path.write_text("my key")
    assert exported.check("--key", path) == 1
    assert any(key in line for line in failed(capsys))


def test_the_model_at_hand_is_the_one_that_was_signed(tmp_path, signing_key, capsys):
    model = tmp_path / "some.keras"
    model.write_bytes(b"a model")
    file = small_record.record().model.model_copy(update={"sha256": verify.sha256(b"a model")})
    export(small_record.record(model=file), tmp_path / "parcel", signing_key, tmp_path / "secrets")
    command = ["--parcel", str(tmp_path / "parcel"), "--model", str(model)]
    assert verify.main(command) == 0
    for content in (b"another", None):
        model.unlink()
        if content:
            model.write_bytes(content)
        assert verify.main(command) == 1
        assert "some.keras" in failed(capsys)[-1]


def test_a_signer_whose_documents_contradict_each_other_is_found_out(exported, capsys):
    def changed(name, change):
        told = exported.document(name)
        change(told)
        replace(exported, name, json.dumps(told).encode())
        assert exported.check() == 1
        (line,) = failed(capsys)
        assert line.startswith(f"FAIL  {name}: says ")

    original = {name: (exported.parcel / name).read_bytes() for name in NAMES}

    def restore():
        for name, content in original.items():
            (exported.parcel / name).write_bytes(content)

    def library(told):
        part = next(part for part in told["components"] if part["type"] == "library")
        part["purl"] = "pkg:pypi/keras@2.0"

    changed(verify.BOM, library)
    restore()
    changed(verify.BOM, lambda told: told["metadata"]["component"]["hashes"][1].update(content="ab" * 32))
    restore()
    changed(verify.CROISSANT, lambda told: told["identifier"].update(value="ab" * 32))
    restore()
    changed(verify.CROISSANT, lambda told: told["distribution"][0].update(sha256="ab" * 32))
    restore()
    changed(verify.PATIENTS, lambda told: told["folds"][0].update(images=1))
    restore()
    assert exported.check() == 0


def test_a_list_of_patients_that_does_not_give_its_root_is_refused(exported, capsys):
    told = exported.document(verify.PATIENTS)
    told["leaves"][0] = "ab" * 32
    replace(exported, verify.PATIENTS, json.dumps(told).encode())
    assert exported.check() == 1
    (line,) = failed(capsys)
    assert line == f"FAIL  {verify.PATIENTS}: lists leaves that do not give its root"


@pytest.mark.parametrize(
    "change",
    [
        lambda told: told["subject"].pop(),
        lambda told: told["subject"].append(told["subject"][0]),
        lambda told: told["subject"].append({"name": "more", "digest": {"sha256": "ab" * 32}}),
        lambda told: told.update(subject=None),
        lambda told: told.update(predicateType="https://example.org/other"),
        lambda told: told["predicate"].pop("buildDefinition"),
        lambda told: told["predicate"]["buildDefinition"].update(internalParameters=[]),
    ],
)
def test_a_signed_statement_of_another_form_is_refused(exported, capsys, change):
    sign_anew(exported, change)
    assert exported.check() == 1
    assert any(line.startswith(f"FAIL  {verify.STATEMENT}: ") for line in failed(capsys))


def test_what_was_signed_is_in_canonical_form(exported, capsys):
    sign_anew(exported, lambda _: None, lambda told: json.dumps(told).encode())
    assert exported.check() == 1
    (line,) = failed(capsys)
    assert line == f"FAIL  {verify.STATEMENT}: holds a statement that is not in canonical form"


def test_nobody_without_the_key_puts_another_statement_under_its_signature(exported, capsys):
    statement, envelope = exported.statement(), exported.document(verify.STATEMENT)
    statement["predicate"]["buildDefinition"]["externalParameters"]["training.seed"] = "5"
    (entry,) = envelope["signatures"]
    content = verify.envelope(verify.canonical(statement), entry["keyid"], verify.unbase64(entry["sig"]))
    (exported.parcel / verify.STATEMENT).write_bytes(content)
    assert exported.check() == 1
    (line,) = failed(capsys)
    assert "has a signature that is not of this key and this content" in line


@pytest.mark.timeout(30)
def test_a_pipe_is_not_waited_for(exported, tmp_path, capsys):
    os.mkfifo(tmp_path / "model.keras")
    assert exported.check("--model", tmp_path / "model.keras") == 1
    (line,) = failed(capsys)
    assert line.endswith("model.keras: is no file that is there")


@pytest.mark.parametrize("change", ["a second signature", "another name of the key", "spaces", "another order"])
def test_an_envelope_has_one_form(exported, capsys, change):
    envelope = exported.document(verify.STATEMENT)
    content = verify.canonical(envelope)
    if change == "a second signature":
        envelope["signatures"].append(envelope["signatures"][0])
        content = verify.canonical(envelope)
    elif change == "another name of the key":
        envelope["signatures"][0]["keyid"] = "mine"
        content = verify.canonical(envelope)
    elif change == "spaces":
        content = json.dumps(envelope, sort_keys=True).encode()
    else:
        turned = dict(reversed(envelope.items()))
        content = json.dumps(turned, separators=(",", ":")).encode()
    (exported.parcel / verify.STATEMENT).write_bytes(content)
    assert exported.check() == 1
    assert failed(capsys)
