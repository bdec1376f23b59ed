"""Checks a parcel: the signature, every byte of every document, and the documents against each other.

    python verify.py [--key public.pem] [--model model.keras] [--parcel FOLDER] [PROOF ...]

It needs Python 3.9 or newer and `pip install cryptography`, no network and nothing else. Without `--parcel` it
checks the folder in which it lies. It prints a line a check and exits with 0 when all of them passed, with 1
otherwise.

A parcel cannot vouch for itself: whoever can replace the folder can replace the key and this file in it. What says
that the parcel is the one you were promised is what you got by another way: the signer's public key (`--key`) or
its SHA-256, and the SHA-256 of this file. Both are printed first.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

try:
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519
except ImportError:
    sys.exit("verify.py needs the package cryptography: run `pip install cryptography`")

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    PublicKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey

T = TypeVar("T")
#: The files of a parcel: the signed statement, and the documents that it names with their SHA-256.
STATEMENT = "statement.dsse.json"
BOM, CROISSANT, PATIENTS = "mlbom.cdx.json", "croissant.json", "patients.json"
PUBLIC_KEY, VERIFIER = "public.pem", "verify.py"
DOCUMENTS = (CROISSANT, BOM, PATIENTS, PUBLIC_KEY, VERIFIER)
#: What the statement names besides: files that stay where the model is, and the root of the patients' tree.
MODEL, HISTORY, LINEAGE = "model.keras", "history.csv", "lineage.json"
ROOT, ROOT_ALGORITHM = "patients", "sha256MerkleRoot"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
#: Prefixes of what the documents name: a Python package, an archive, a fold, initial weights.
PACKAGE, ARCHIVE, FOLD, WEIGHTS = "pkg:pypi/", "archive:", "fold:", "weights:"
#: Prefix of Glassbox's own properties in the bill of materials.
PROPERTY = "glassbox:"
#: Bytes of a salt and of a digest.
_LENGTH = 32


class RefusedError(Exception):
    """What is wrong with a file, as the end of a sentence that begins with its name."""


def canonical(value: Any) -> bytes:
    """A JSON-able value as bytes that only it has: keys sorted, no spaces, UTF-8."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def sha256(content: bytes) -> str:
    """The SHA-256 of bytes, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


# --- The signature: DSSE, https://github.com/secure-systems-lab/dsse


def pae(payload: bytes, payload_type: str = PAYLOAD_TYPE) -> bytes:
    """What a signature of DSSE is over: the pre-authentication encoding of a payload and its type."""
    kind = payload_type.encode()
    return b" ".join([b"DSSEv1", b"%d" % len(kind), kind, b"%d" % len(payload), payload])


def envelope(payload: bytes, keyid: str, signature: bytes) -> bytes:
    """A payload with its one signature, in the only bytes that this parcel takes for them."""
    signatures = [{"keyid": keyid, "sig": base64.b64encode(signature).decode()}]
    body = base64.b64encode(payload).decode()
    return canonical({"payload": body, "payloadType": PAYLOAD_TYPE, "signatures": signatures})


def fingerprint(key: PublicKey) -> str:
    """The SHA-256 of a public key in DER (SubjectPublicKeyInfo), in hexadecimal."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return sha256(key.public_bytes(serialization.Encoding.DER, form))


def ecdsa_hash(curve: ec.EllipticCurve) -> hashes.HashAlgorithm | None:
    """What is hashed with before ECDSA signs on a curve; None for a curve that parcels are not signed on."""
    return {"secp256r1": hashes.SHA256(), "secp384r1": hashes.SHA384()}.get(curve.name)


def public_key(pem: bytes) -> PublicKey:
    """The public key in a PEM file: Ed25519, or ECDSA on P-256 or P-384."""
    try:
        key = serialization.load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise RefusedError("holds no public key in PEM that can be read") from None
    if isinstance(key, ed25519.Ed25519PublicKey):
        return key
    if isinstance(key, ec.EllipticCurvePublicKey) and ecdsa_hash(key.curve):
        return key
    raise RefusedError("holds a key that is neither Ed25519 nor ECDSA on P-256 or P-384")


def signed(key: PublicKey, signature: bytes, message: bytes) -> bool:
    """Whether a signature is of this key and this message."""
    try:
        if isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, message)
        else:
            algorithm = ecdsa_hash(key.curve)
            if algorithm is None:
                return False
            key.verify(signature, message, ec.ECDSA(algorithm))
    except InvalidSignature:
        return False
    return True


def opened(content: bytes, key: PublicKey) -> dict[str, Any]:
    """The statement in an envelope, once the key signed it and no byte of the envelope could be another one."""
    found = parsed(content)
    payload, entry = unbase64(found["payload"]), found["signatures"][0]
    if entry["keyid"] != fingerprint(key):
        raise RefusedError(f"was signed with another key: {entry['keyid']}")
    signature = unbase64(entry["sig"])
    if content != envelope(payload, fingerprint(key), signature):
        raise RefusedError("is not in the one form of an envelope with one signature")
    if not signed(key, signature, pae(payload)):
        raise RefusedError("has a signature that is not of this key and this content")
    statement: dict[str, Any] = parsed(payload)
    if payload != canonical(statement):
        raise RefusedError("holds a statement that is not in canonical form")
    if (statement["_type"], statement["predicateType"]) != (STATEMENT_TYPE, PREDICATE_TYPE):
        raise RefusedError("holds no SLSA provenance v1 in an in-toto statement v1")
    return statement


def parsed(content: bytes) -> Any:
    """The value of JSON in UTF-8."""
    return json.loads(content.decode())


def unbase64(text: str) -> bytes:
    """The bytes that have exactly this form in base64."""
    content = base64.b64decode(text, validate=True)
    if base64.b64encode(content).decode() != text:
        raise RefusedError("holds base64 that is not in its one form")
    return content


# --- The patients: a Merkle tree as in RFC 6962, with a salt in each leaf


def leaf_hash(salt: bytes, leaf: bytes) -> bytes:
    """The hash of a leaf: without its salt it says nothing about a content that somebody guesses."""
    return hashlib.sha256(b"\x00" + salt + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def parents(nodes: Sequence[bytes]) -> list[bytes]:
    """The level above some nodes of a tree; the last of an odd number goes up as it is."""
    pairs = [node_hash(nodes[at], nodes[at + 1]) for at in range(0, len(nodes) - 1, 2)]
    return pairs + list(nodes[len(pairs) * 2 :])


def tree_root(nodes: Sequence[bytes]) -> bytes:
    """The root of the tree over the hashes of its leaves, of which there is at least one."""
    while len(nodes) > 1:
        nodes = parents(nodes)
    return nodes[0]


def climbed(node: bytes, index: int, count: int, path: Sequence[bytes]) -> bytes:
    """The root that follows from a leaf's hash, its place among `count` leaves, and the siblings on its way up."""
    left = list(path)
    while count > 1:
        if index ^ 1 < count:  # otherwise it is the last of an odd number
            if not left:
                raise RefusedError("has too short a path")
            sibling = left.pop(0)
            node = node_hash(sibling, node) if index % 2 else node_hash(node, sibling)
        index, count = index // 2, (count + 1) // 2
    if left:
        raise RefusedError("has too long a path")
    return node


def checked_proof(content: bytes, root: str, count: int) -> str:
    """What a proof proves, in a few words, once it leads from a patient's leaf to the root over `count` leaves."""
    proof = parsed(content)
    if content != canonical(proof):
        raise RefusedError("is not in canonical form")
    leaf, salt, path = proof["leaf"], unbase64(proof["salt"]), [unbase64(node) for node in proof["path"]]
    if {len(salt), *map(len, path)} != {_LENGTH}:
        raise RefusedError(f"has a salt or a digest that is not {_LENGTH} bytes long")
    if (proof["root"], proof["leaves"]) != (root, count) or not 0 <= proof["index"] < count:
        raise RefusedError("is of another parcel")
    if climbed(leaf_hash(salt, canonical(leaf)), proof["index"], count, path).hex() != root:
        raise RefusedError(
            "does not lead to the root that was signed: these images, or this patient, were not in it so"
        )
    folds = [image["fold"] for image in leaf["images"]]
    counts = ", ".join(f"{folds.count(fold)} in {fold}" for fold in dict.fromkeys(folds))
    return f"patient {leaf['patient_id']} was in, with the images that it lists: {counts}"


# --- The documents against each other: what each says of the same things


def facts_of_statement(statement: dict[str, Any]) -> dict[str, Any]:
    """What the signed statement says."""
    named = {subject["name"]: subject["digest"] for subject in statement["subject"]}
    definition = statement["predicate"]["buildDefinition"]
    needed, own = definition["resolvedDependencies"], definition["internalParameters"]
    return {
        "model": named[MODEL]["sha256"],
        "root": named[ROOT][ROOT_ALGORITHM],
        "patients": own["patients"],
        "fingerprint": own["fingerprint"],
        "packages": sorted(each["uri"] for each in needed if each.get("uri", "").startswith(PACKAGE)),
        "archives": {
            each["name"]: each["digest"]["sha256"] for each in needed if each["name"].startswith(ARCHIVE)
        },
        "folds": _folds(own["folds"]),
    }


def facts_of_bom(bom: dict[str, Any]) -> dict[str, Any]:
    """What the bill of materials says."""
    model, parts = bom["metadata"]["component"], bom["components"]
    own = {each["name"]: each["value"] for each in model["properties"]}
    return {
        "model": _hash(model),
        "root": own[f"{PROPERTY}patients_root"],
        "fingerprint": own[f"{PROPERTY}fingerprint"],
        "packages": sorted(part["purl"] for part in parts if part["type"] == "library"),
        "archives": {part["bom-ref"]: _hash(part) for part in parts if part["bom-ref"].startswith(ARCHIVE)},
        "folds": _folds(
            [
                {each["name"].rpartition(":")[2]: each["value"] for each in part["properties"]}
                for part in parts
                if part["bom-ref"].startswith(FOLD)
            ]
        ),
    }


def facts_of_croissant(dataset: dict[str, Any]) -> dict[str, Any]:
    """What the description of the dataset says."""
    records = next(each for each in dataset["recordSet"] if each["@id"] == "folds")["data"]
    return {
        "root": dataset["identifier"]["value"],
        "archives": {
            each["@id"]: each["sha256"] for each in dataset["distribution"] if each["@id"].startswith(ARCHIVE)
        },
        "folds": _folds([{key.rpartition("/")[2]: row[key] for key in row} for row in records]),
    }


def facts_of_patients(patients: dict[str, Any]) -> dict[str, Any]:
    """What the list of the patients' leaves says."""
    count = len(leaves(patients))
    return {"root": patients["root"], "patients": count, "folds": _folds(patients["folds"])}


def leaves(patients: dict[str, Any]) -> list[bytes]:
    """The digests of the patients' leaves, once they give the root that stands with them."""
    digests = [bytes.fromhex(digest) for digest in patients["leaves"]]
    if {len(digest) for digest in digests} != {_LENGTH} or tree_root(digests).hex() != patients["root"]:
        raise RefusedError("lists leaves that do not give its root")
    return digests


def _folds(rows: list[dict[str, Any]]) -> dict[str, list[int]]:
    return {row["fold"]: [int(row[key]) for key in ("patients", "images", "draws")] for row in rows}


def _hash(part: dict[str, Any]) -> str:
    return next(str(each["content"]) for each in part["hashes"] if each["alg"] == "SHA-256")


FACTS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    BOM: facts_of_bom,
    CROISSANT: facts_of_croissant,
    PATIENTS: facts_of_patients,
}


# --- The checks, in order


class Report:
    """Prints a line a check; `failures` counts those that failed."""

    failures = 0

    def check(self, name: object, check: Callable[[], T], passed: str = "{}") -> T | None:
        """What a check of a file found, or None once it failed, whatever the file holds.

        Args:
            name: The file.
            check: Looks at it.
            passed: What is then said of it, as the end of a sentence; `{}` is what was found.
        """
        try:
            found = check()
        except RefusedError as refused:
            why = str(refused)
        except OSError as error:
            why = f"cannot be read: {error.strerror}"
        # What a damaged file, or a file of another kind, does to code that expects what a parcel holds.
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError, StopIteration) as error:
            why = f"is not what a parcel holds: {type(error).__name__}: {str(error)[:200]}"
        else:
            say("ok", f"{name}: {passed.format(found)}")
            return found
        self.failures += 1
        say("FAIL", f"{name}: {why}")
        return None


def say(mark: str, text: str) -> None:
    """Prints a line; what a file might put into it to play with the terminal is escaped."""
    line = " ".join(text.split())
    print(f"{mark:5} {''.join(each if each.isprintable() else ascii(each)[1:-1] for each in line)}")


def run(folder: Path, key_file: Path | None, model: Path | None, proofs: Sequence[Path]) -> int:
    """Checks a parcel and what belongs to it; the number of checks that failed."""
    report = Report()
    report.check(folder, lambda: _names(folder), "holds the files of a parcel and nothing else")
    key = _key(report, folder, key_file)
    statement = key and report.check(
        STATEMENT, lambda: opened(_content(folder / STATEMENT), key), "was signed with this key"
    )
    named = statement and report.check(
        STATEMENT, lambda: _subjects(statement), "names the model and every document"
    )
    facts = statement and report.check(
        STATEMENT, lambda: facts_of_statement(statement), "says what made the model"
    )
    if not named or not facts:
        say("", "Nothing else can be checked without what was signed.")
        return report.failures
    for name in DOCUMENTS:
        report.check(name, partial(_same_bytes, folder / name, named[name]), "is the file that was signed")
    for name in FACTS:
        report.check(name, partial(_agrees, folder / name, facts), "says the same as the statement of {}")
    if model:
        report.check(model, partial(_same_bytes, model, named[MODEL]), "is the model that was signed")
    for proof in proofs:
        report.check(proof, partial(_proven, proof, facts))
    return report.failures


def _names(folder: Path) -> None:
    """Refuses a folder that holds anything else than the files of a parcel."""
    found, wanted = {entry.name for entry in folder.iterdir()}, {STATEMENT, *DOCUMENTS}
    wrong = [f"lacks {name}" for name in sorted(wanted - found)]
    wrong += [f"holds {name}, which is no part of a parcel" for name in sorted(found - wanted)]
    wrong += [
        f"holds {name}, which is no plain file"
        for name in sorted(wanted & found)
        if (folder / name).is_symlink() or not (folder / name).is_file()
    ]
    if wrong:
        raise RefusedError("; ".join(wrong))


def _key(report: Report, folder: Path, key_file: Path | None) -> PublicKey | None:
    """The key to check with: the one that the user names, which has to be the parcel's, too."""
    own = report.check(PUBLIC_KEY, lambda: public_key(_content(folder / PUBLIC_KEY)), "holds a public key")
    if own:
        say("", f"SHA-256 of the key: {fingerprint(own)}")
    if key_file is None:
        say("", "Compare both with what the signer told you by another way; or name that key with --key.")
        return own
    return report.check(key_file, lambda: _same_key(public_key(_content(key_file)), own), "is the same key")


def _same_key(key: PublicKey, own: PublicKey | None) -> PublicKey:
    if own and fingerprint(key) != fingerprint(own):
        raise RefusedError(f"is another key than that of the parcel: {fingerprint(key)}")
    return key


def _subjects(statement: dict[str, Any]) -> dict[str, str]:
    """Name of each file that the statement is about -> its SHA-256."""
    digests = {subject["name"]: subject["digest"] for subject in statement["subject"]}
    wanted = {MODEL, HISTORY, LINEAGE, ROOT, *DOCUMENTS}
    if len(statement["subject"]) != len(wanted) or digests.keys() != wanted:
        raise RefusedError(f"is about {', '.join(map(str, digests))}, not about {', '.join(sorted(wanted))}")
    return {name: str(digest["sha256"]) for name, digest in digests.items() if name != ROOT}


def _same_bytes(path: Path, wanted: str) -> None:
    """Refuses a file, however large, that has another SHA-256 than the statement says."""
    found = hashlib.sha256()
    with _plain(path).open("rb") as stream:
        while block := stream.read(1 << 20):
            found.update(block)
    if found.hexdigest() != wanted:
        raise RefusedError(f"has the SHA-256 {found.hexdigest()}, not {wanted}, which was signed")


def _agrees(path: Path, facts: Mapping[str, Any]) -> str:
    """What a document says of the same things as the statement, once it says the same."""
    found = FACTS[path.name](parsed(_content(path)))
    for what, value in found.items():
        if value != facts[what]:
            raise RefusedError(f"says {what}: {str(value)[:200]}, and the statement {str(facts[what])[:200]}")
    return ", ".join(found)


def _proven(path: Path, facts: Mapping[str, Any]) -> str:
    return checked_proof(_content(path), facts["root"], facts["patients"])


def _content(path: Path) -> bytes:
    return _plain(path).read_bytes()


def _plain(path: Path) -> Path:
    if not path.is_file():  # a pipe would be waited for
        raise RefusedError("is no file that is there")
    return path


class _Arguments(argparse.ArgumentParser):
    """Ends a wrong command line with 1, as every other failure."""

    def error(self, message: str) -> NoReturn:
        self.exit(1, f"verify.py: {message}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; its exit status."""
    parser = _Arguments(prog="verify.py", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--key", type=Path, help="the signer's public key, in PEM, as you got it by another way")
    parser.add_argument("--model", type=Path, help="the model file that the parcel came with")
    parser.add_argument("--parcel", type=Path, default=Path(__file__).parent, help="a parcel elsewhere")
    parser.add_argument("proofs", nargs="*", type=Path, metavar="PROOF", help="of one patient each")
    given = parser.parse_args(arguments)
    say("", f"SHA-256 of {VERIFIER}: {sha256(Path(__file__).read_bytes())}")
    failures = run(given.parcel, given.key, given.model, given.proofs)
    say("", f"{failures} of the checks failed." if failures else "Every check passed.")
    return 1 if failures else 0


if __name__ == "__main__":
    # Names that the terminal cannot show are no reason to fail.
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    sys.exit(main())
