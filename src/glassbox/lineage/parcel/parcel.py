"""The parcel: one folder about one model, which its receiver checks offline and without Glassbox."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from glassbox.errors import GlassboxError
from glassbox.files import atomic
from glassbox.lineage.link import Checks, Link
from glassbox.lineage.parcel import keys, patients, vault, verify
from glassbox.lineage.parcel.bom import bom
from glassbox.lineage.parcel.croissant import croissant
from glassbox.lineage.parcel.merkle import Tree
from glassbox.lineage.parcel.statement import REVISION, statement
from glassbox.lineage.record import portable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from glassbox.lineage.record import Record


#: What `verify.say` begins the line of a check with that failed.
_FAILED = "FAIL"
_ACTION = "ask whoever kept the parcel which of the two is older: one of them was rewritten"


class ParcelError(GlassboxError):
    """A parcel cannot be written there, or is none."""


class Parcel(NamedTuple):
    """A parcel that was written, and what its receiver has to learn by another way than the parcel's."""

    path: Path
    #: Of the tree over the patients, in hexadecimal.
    root: str
    #: SHA-256 of the public key.
    key_sha256: str
    #: SHA-256 of the program that checks the parcel.
    verifier_sha256: str
    #: Where the patients' leaves and salts lie now.
    salts: Path


def export(record: Record, target: Path, key: Path, salts: Path) -> Parcel:
    """Writes the parcel of a model as a new folder, and the patients' salts where they are kept.

    Two parcels of one record differ in their salts, and in nothing that does not follow from these.

    Args:
        record: Of the model.
        target: The folder to make.
        key: The private key that signs, as `keys.load` takes it.
        salts: The vault: a folder outside git and outside the parcel.

    Raises:
        KeyFileError: The key cannot sign.
        ParcelError: The target is there already, or cannot be written.
    """
    if target.exists() or target.is_symlink():
        raise ParcelError(f"{target} is there already", "a folder that a parcel can become", "name another one")
    signing = keys.load(key)
    kept = patients.salted(patients.leaves(record.images))
    digests = [each.digest for each in kept]
    root = Tree(digests).root
    documents = {
        verify.CROISSANT: _readable(croissant(record, root.hex())),
        verify.BOM: _readable(bom(record, root.hex())),
        verify.PATIENTS: _readable(patients.document(record, digests, root)),
        verify.PUBLIC_KEY: keys.public_pem(signing),
        verify.VERIFIER: Path(verify.__file__).read_bytes(),
    }
    hashes = {name: verify.sha256(content) for name, content in documents.items()}
    payload = verify.canonical(statement(record, hashes, root.hex()))
    fingerprint = verify.fingerprint(signing.public_key())
    documents[verify.STATEMENT] = verify.envelope(payload, fingerprint, keys.sign(signing, verify.pae(payload)))
    place = vault.path(salts, root.hex())
    try:
        # First, since a parcel without them discloses nothing, and they are nothing without the parcel.
        vault.write(salts, root.hex(), kept)
        _write(target, documents)
    except OSError as error:
        with suppress(OSError):
            place.unlink()
        raise _unwritable(target, error) from None
    return Parcel(target, root.hex(), fingerprint, hashes[verify.VERIFIER], place)


def _readable(value: dict[str, Any]) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _write(target: Path, documents: dict[str, bytes]) -> None:
    """Writes a folder of files, whole or not at all."""
    with atomic(target) as temporary:
        temporary.mkdir()
        for name, content in documents.items():
            (temporary / name).write_bytes(content)


def disclose(parcel: Path, salts: Path, patient_ids: Sequence[str], target: Path) -> list[Path]:
    """Writes a proof for each of some patients that these were in a parcel, and with which images.

    Args:
        parcel: The folder that was exported.
        salts: The vault.
        patient_ids: Whom to disclose: the proof names the patient, the images and their digests.
        target: The folder for the proofs, another one than the parcel. A proof's name says nothing of the patient.

    Returns:
        The proofs, in the order of the patients.

    Raises:
        ParcelError: The parcel is none, or a proof cannot be written there.
        VaultError: What the vault has of the parcel is missing or damaged, or lacks one of the patients.
    """
    if target.resolve() == parcel.resolve():
        raise ParcelError(f"{target} is the parcel, which holds no proofs", "another folder", "name another one")
    digests = _digests(parcel)
    tree = Tree(digests)
    kept = vault.read(salts, tree.root.hex(), patient_ids)
    places = {digest: index for index, digest in enumerate(digests)}
    proofs = []
    for patient in patient_ids:
        digest = kept[patient].digest
        if digest not in places:
            raise vault.damaged(vault.path(salts, tree.root.hex()))
        content = patients.proof(tree, places[digest], kept[patient])
        proofs.append(target / f"proof-{digest.hex()[:16]}.json")
        try:
            with atomic(proofs[-1]) as temporary:
                temporary.write_bytes(content)
        except OSError as error:
            raise _unwritable(target, error) from None
    return proofs


def compared(record: Record, folder: Path, key: Path | None) -> list[Link]:
    """Whether a parcel is whole, and says of a model what the audit found.

    Args:
        record: What the audit found.
        folder: The parcel.
        key: The signer's public key as PEM, got by another way than the parcel; None takes the one in the parcel,
            which whoever replaces the parcel replaces, too.
    """
    checks = Checks(f"parcel {folder}", _ACTION)
    with redirect_stdout(io.StringIO()) as said:
        failures = verify.run(folder, key, None, [])
    if failures:
        for line in said.getvalue().splitlines():
            if line.startswith(_FAILED):
                checks.same("verify.py", line.removeprefix(_FAILED).strip(), "a check that passes")
        return checks.links("")
    content = (folder / verify.STATEMENT).read_bytes()
    pem = (key or folder / verify.PUBLIC_KEY).read_bytes()
    signed = verify.opened(content, verify.public_key(pem))
    own = statement(record, {}, "")
    found, wanted = _facts(own), _facts(signed)
    for name in sorted(found.keys() | wanted.keys()):
        checks.same(name, found.get(name, "nothing"), wanted.get(name, "nothing"))
    return checks.links(f"signed, and says the same in {len(wanted)} parameters and digests")


def _facts(said: dict[str, Any]) -> dict[str, Any]:
    """What a statement says of how the model was made: name -> value or digest.

    Left out is what may change afterwards: the documents and the root, which every export makes anew, the commit,
    which is made after the model, and what was measured; how often images were shown, which follows from the
    history and the folds, and which parcels of earlier versions do not say; and a machine's paths, which those do.
    """
    build = said["predicate"]["buildDefinition"]
    subjects = {one["name"]: one["digest"] for one in said["subject"]}
    made_from = {one["name"]: one.get("digest", one.get("uri")) for one in build["resolvedDependencies"]}
    made_from.pop(REVISION, None)
    internal = build["internalParameters"]
    folds = [{name: of for name, of in fold.items() if not name.startswith("shown")} for fold in internal["folds"]]
    return {
        **{name: subjects[name] for name in (verify.MODEL, verify.HISTORY, verify.LINEAGE)},
        **build["externalParameters"],
        **internal,
        "folds": folds,
        "recipe": portable(internal["recipe"]),
        **made_from,
    }


def _digests(parcel: Path) -> list[bytes]:
    """The digests of the patients' leaves in a parcel."""
    place = parcel / verify.PATIENTS
    try:
        return verify.leaves(verify.parsed(place.read_bytes()))
    except verify.RefusedError as refused:
        why = str(refused)
    except OSError as error:
        why = f"cannot be read: {error.strerror}"
    except (ValueError, TypeError, LookupError, RecursionError):
        why = "is no list of patients"
    raise ParcelError(f"{place} {why}", "a parcel as it was exported", f"check it with {parcel / verify.VERIFIER}")


def _unwritable(target: Path, error: OSError) -> ParcelError:
    found = f"{error.filename or target} cannot be written: {error.strerror}"
    return ParcelError(found, "a folder that can be written", "name another one")
