"""Every document is valid by its standard, all say the same, and none names a patient or an image."""

import json
import logging

import pytest
import small_record
from google.protobuf.json_format import ParseDict
from in_toto_attestation.predicates.provenance.v1.provenance_pb2 import Provenance
from in_toto_attestation.v1.statement import Statement
from in_toto_attestation.v1.statement_pb2 import Statement as Message

from glassbox.lineage.parcel import verify
from glassbox.lineage.parcel.bom import bom, purl
from glassbox.lineage.parcel.croissant import croissant
from glassbox.lineage.parcel.statement import statement

ROOT = "ab" * 32
DOCUMENTS = dict.fromkeys(verify.DOCUMENTS, "cd" * 32)


def statement_of(record):
    return statement(record, DOCUMENTS, ROOT)


def values(value, *, keys=False):
    """Every value in JSON as text, and where asked for every key."""
    if isinstance(value, dict):
        found = {text for each in value.values() for text in values(each, keys=keys)}
        return found | value.keys() if keys else found
    if isinstance(value, list):
        return {text for each in value for text in values(each, keys=keys)}
    return {str(value)}


def bare():
    """A record with all left out that can be."""
    full = small_record.record()
    return small_record.record(
        revision=None,
        uv_lock=None,
        scores={},
        leaks=[],
        outputs=[],
        weights={"name": "none", "kind": "none", "sha256": "none"},
        data=full.data | {"weights_sha256": "none"},
        archives=[full.archives[0].model_copy(update={"ref": None, "version": None, "licence": None})],
    )


RECORDS = pytest.mark.parametrize("record", [small_record.record(), bare()], ids=["full", "bare"])


@RECORDS
def test_the_statement_is_one_of_in_toto_with_a_provenance_of_slsa(record):
    told = statement_of(record)
    Statement.copy_from_pb(ParseDict(told, Message())).validate()
    provenance = ParseDict(told["predicate"], Provenance())
    definition, run = provenance.build_definition, provenance.run_details
    assert dict(definition.external_parameters) == record.params
    assert run.metadata.invocation_id == record.fingerprint
    assert not run.metadata.HasField("started_on")
    assert run.builder.id
    assert all(each.name and (each.uri or each.digest) for each in definition.resolved_dependencies)
    assert all(subject["digest"] for subject in told["subject"])


def test_the_statement_names_all_that_the_model_was_made_from():
    record = small_record.record()
    definition = statement_of(record)["predicate"]["buildDefinition"]
    digests = {each["name"]: each.get("digest", {}) for each in definition["resolvedDependencies"]}
    assert digests["revision"] == {"gitCommit": record.revision}
    assert digests["uv.lock"]["sha256"] == record.uv_lock.sha256
    assert digests["archive:films"] == {"sha256": record.archives[0].sha256}
    assert digests["fold:train"] == {"sha256": record.data["train_sha256"]}
    assert digests["fold:validation"] == {"sha256": record.data["validation_sha256"]}
    assert digests["weights:begun"] == {"sha256": record.weights.sha256}
    assert digests["data/catalogs/films.parquet"] == {"md5": small_record.md5("catalog")}
    assert digests["data/shards/films_32"] == {"dvcDirMd5": small_record.md5("shards")}
    # What was made of the model is nothing it was made from.
    (after,) = statement_of(record)["predicate"]["runDetails"]["byproducts"]
    assert after["name"] == f"predictions/{record.experiment}"
    assert after["name"] not in digests


@RECORDS
def test_the_bill_of_materials_is_valid_by_the_schema_of_cyclonedx(record):
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    told = bom(record, ROOT)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(told)) is None
    # What the schema does not ask: each reference leads somewhere, and none twice.
    refs = [told["metadata"]["component"]["bom-ref"], *(part["bom-ref"] for part in told["components"])]
    assert len(refs) == len(set(refs))
    card = told["metadata"]["component"]["modelCard"]
    named = {each["ref"] for each in card["modelParameters"]["datasets"]}
    named |= {ref for each in told["dependencies"] for ref in [each["ref"], *each.get("dependsOn", [])]}
    assert named <= set(refs)


def test_libraries_have_the_hashes_of_the_lock():
    record = small_record.record()
    parts = {part["name"]: part for part in bom(record, ROOT)["components"] if part["type"] == "library"}
    assert parts.keys() == record.packages.keys()
    for name, digests in record.packages_sha256.items():
        assert parts[name]["hashes"] == [{"alg": "SHA-256", "content": digest} for digest in digests]


def test_no_document_says_where_a_file_of_the_users_lay(exported_once):
    """The record is of weights from `archives/begun.h5`."""
    for path in exported_once.parcel.iterdir():
        said = json.dumps(exported_once.statement()) if path.name == verify.STATEMENT else path.read_text()
        assert "begun.h5" not in said


def test_scores_stand_in_the_card_with_their_intervals():
    card = bom(small_record.record(), ROOT)["metadata"]["component"]["modelCard"]
    metrics = {(each["slice"], each["type"]): each for each in card["quantitativeAnalysis"]["performanceMetrics"]}
    assert metrics["test_clean", "roc_auc"] == {
        "type": "roc_auc",
        "value": "0.8125",
        "slice": "test_clean",
        "confidenceInterval": {"lowerBound": "0.7031", "upperBound": "0.9017"},
    }
    assert ("test_clean", "roc_auc_low") not in metrics
    assert metrics["test_clean, Mass", "recall"]["value"] == "0.625"
    assert "confidenceInterval" not in metrics["test_clean, Mass", "roc_auc"]


def test_what_folds_share_and_where_the_recipe_departs_are_limits_of_the_model():
    card = bom(small_record.record(), ROOT)["metadata"]["component"]["modelCard"]
    assert card["considerations"]["technicalLimitations"] == [
        "train-test share 17 identical_files",
        "Two epochs in place of thirty.",
    ]


def test_a_package_is_named_as_purl_has_it():
    from packageurl import PackageURL

    for name, version in (("keras", "3.15.1"), ("torch", "2.9.0+cu130"), ("six", "1!1.0.dev1")):
        assert purl(name, version) == PackageURL("pypi", None, name, version).to_string()


@RECORDS
def test_the_dataset_is_described_in_croissant(record, caplog):
    import mlcroissant

    with caplog.at_level(logging.WARNING):
        told = mlcroissant.Dataset(jsonld=croissant(record, ROOT)).metadata
    assert not told.ctx.issues.errors
    # There is no clock and no paper; a licence is known of Kaggle's archives alone. Nothing else is warned of.
    missing = {"citeAs", "datePublished", "version", *([] if record.archives[0].licence else ["license"])}
    warned = " ".join([*told.ctx.issues.warnings, *caplog.messages])
    assert len(told.ctx.issues.warnings) == len(missing)
    assert all(f'/{name}"' in warned for name in missing)
    assert "@context" not in warned
    assert {each.id for each in told.record_sets} >= {"images", "pixels", "folds", "classes"}
    assert {each.id for each in told.distribution} >= {"archive:films", "fold:train", "fold:validation"}


def test_counts_can_be_read_from_the_description():
    import mlcroissant

    record = small_record.record()
    dataset = mlcroissant.Dataset(jsonld=croissant(record, ROOT))
    read = [{key.rpartition("/")[2]: of for key, of in row.items()} for row in dataset.records("folds")]
    assert [row["images"] for row in read] == [fold.images for fold in record.folds]


def test_every_fact_of_the_record_stands_in_a_document(exported_once):
    record = exported_once.record
    documents = [exported_once.statement(), *map(exported_once.document, (verify.BOM, verify.CROISSANT))]
    told = values(documents, keys=True)
    facts = values(record.model_dump(mode="json"))
    for named in ("params", "recipe", "code", "packages", "machine"):
        facts |= values(getattr(record, named), keys=True)
    # DVC's digest of a folder is marked by its name, not by an ending.
    assert {fact for fact in facts if fact.removesuffix(".dir") not in told} == set()


def test_no_document_names_a_patient_or_an_image(exported_once):
    secret = {
        str(value)
        for column in ("image_id", "patient_id", "source_sha256", "pixels_sha256")
        for value in exported_once.record.images[column]
    }
    for path in exported_once.parcel.iterdir():
        content = path.read_text()
        if path.name == verify.STATEMENT:
            content = json.dumps(exported_once.statement())
        assert not [value for value in secret if f'"{value}"' in content or (len(value) > 8 and value in content)]


def test_the_documents_say_the_same(exported_once):
    facts = verify.facts_of_statement(exported_once.statement())
    for name, read in verify.FACTS.items():
        told = read(exported_once.document(name))
        assert {"root", "folds"} <= told.keys() <= facts.keys()
        assert told == {what: facts[what] for what in told}
    record = exported_once.record
    assert facts == {
        "model": record.model.sha256,
        "root": exported_once.root,
        "patients": 20,
        "fingerprint": record.fingerprint,
        "packages": [f"pkg:pypi/{name}@{version}" for name, version in sorted(record.packages.items())],
        "archives": {"archive:films": record.archives[0].sha256},
        "folds": {fold.fold: [fold.patients, fold.images, fold.draws] for fold in record.folds},
    }


def test_what_is_hashed_before_a_signature_is_as_dsse_says():
    """The example of its protocol."""
    encoded = b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    assert verify.pae(b"hello world", "http://example.com/HelloWorld") == encoded
