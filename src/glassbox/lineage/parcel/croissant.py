"""The prepared dataset, described in Croissant 1.1: its files, columns and counts, and no patient or image of it.

What an image is known by lies in the patients' salted leaves alone; the description has the root of their tree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from glassbox.artifacts import archive, shards, split
from glassbox.lineage.parcel.verify import ARCHIVE, FOLD, ROOT_ALGORITHM

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from glassbox.lineage.record import Archive, Record

#: The context that version 1.1 prescribes.
CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
_TEXT, _INTEGER, _PARQUET = "sc:Text", "sc:Integer", "application/vnd.apache.parquet"
_FOLDS, _INDEX, _SHARDS = "fold-tables", "shard-index", "shards"
#: Columns of a fold's table and of the shards' index: data type and meaning.
_OF_FOLD = {
    "image_id": (_TEXT, "Name of the image."),
    "patient_id": (_TEXT, "Whose image it is."),
    "draws": (_INTEGER, "How often an epoch shows it."),
    "source_sha256": (_TEXT, "SHA-256 of the file in the archive."),
    "pixels_sha256": (_TEXT, "SHA-256 of the stored pixels, row by row."),
}
_OF_INDEX = {
    "image_id": (_TEXT, "Name of the image."),
    "shard": (_TEXT, "The HDF5 file that holds it."),
    "row": (_INTEGER, "Its place in the shard's dataset `images`, uint8 (count, size, size)."),
}


def croissant(record: Record, root: str) -> dict[str, Any]:
    """The description of the dataset that a model was made from and tested on.

    Args:
        record: Of the model.
        root: Of the tree over the patients, in hexadecimal.
    """
    cut, dataset = record.recipe["settings"]["split"], record.recipe["split"]["dataset"]
    prepared = record.recipe["dataset"]
    size = f"{prepared['size']} x {prepared['size']} pixels"
    description: dict[str, Any] = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "name": f"{cut} of {dataset}",
        "description": f"Chest films as {record.experiment} ({record.title}) saw them: {size} of grey (scaled by "
        f"the method {prepared['method']}), in folds.",
        "identifier": {"@type": "sc:PropertyValue", "propertyID": ROOT_ALGORITHM, "value": root},
        "rai:dataPreprocessingProtocol": [f"Scaled to {size} by the method {prepared['method']}, 8 bits of grey."],
        "rai:dataCollectionMissingData": f"{record.rejected} images could not be read; {record.withdrawn} images "
        "are withdrawn.",
        "rai:personalSensitiveInformation": [
            "Films of people. No patient and no image is named here: each patient is a salted leaf under the root."
        ],
        "distribution": [
            *(_archive(each) for each in record.archives),
            *_folds(record, cut),
            _file_set(_FOLDS, split.folder(cut).as_posix() + "/*.parquet", _PARQUET),
            _file_set(_INDEX, shards.folder(dataset).as_posix() + "/index.parquet", _PARQUET),
            _file_set(_SHARDS, shards.folder(dataset).as_posix() + "/part-*.h5", "application/x-hdf5"),
        ],
        "recordSet": [
            _table("images", _FOLDS, {**_OF_FOLD, **_labels(record)}),
            _table("pixels", _INDEX, _OF_INDEX),
            *_counts(record),
        ],
    }
    if licences := [each.licence for each in record.archives if each.licence]:
        description["license"] = licences
    if urls := [f"https://www.kaggle.com/datasets/{each.ref}" for each in record.archives if each.ref]:
        description["url"] = urls[0]
    return description


def _archive(of: Archive) -> dict[str, Any]:
    facts = {"kind": of.kind, "ref": of.ref, "version": of.version, "members_sha256": of.members_sha256}
    told = "; ".join(f"{key} {value}" for key, value in facts.items() if value is not None)
    return {
        "@type": "cr:FileObject",
        "@id": f"{ARCHIVE}{of.source}",
        "name": f"{of.source}.zip",
        "description": f"The archive of {of.source}, {of.members} files: {told}.",
        "contentUrl": archive.path(of.source).as_posix(),
        "contentSize": f"{of.bytes} B",
        "encodingFormat": "application/zip",
        "sha256": of.sha256,
    }


def _folds(record: Record, cut: str) -> list[dict[str, Any]]:
    """The tables of the folds that training saw, by the SHA-256 in the model's lineage."""
    digests = {fold.fold: record.data.get(f"{fold.fold}_sha256") for fold in record.folds}
    return [
        {
            "@type": "cr:FileObject",
            "@id": f"{FOLD}{fold}",
            "name": f"{fold}.parquet",
            "contentUrl": split.path(cut, fold).as_posix(),
            "encodingFormat": _PARQUET,
            "sha256": digest,
        }
        for fold, digest in digests.items()
        if digest
    ]


def _file_set(name: str, pattern: str, kind: str) -> dict[str, Any]:
    return {"@type": "cr:FileSet", "@id": name, "name": name, "includes": pattern, "encodingFormat": kind}


def _labels(record: Record) -> dict[str, tuple[str, str]]:
    classes = dict.fromkeys(name for fold in record.folds for name in fold.classes)
    return {f"{split.LABEL}{name}": (_INTEGER, f"1 where the image is of {name}, else 0.") for name in classes}


def _table(name: str, source: str, columns: Mapping[str, tuple[str, str]]) -> dict[str, Any]:
    """A record set read from the columns of files."""
    fields = [
        {
            **_field(f"{name}/{place}", column, kind, meaning),
            "source": {"fileSet": {"@id": source}, "extract": {"column": column}},
        }
        for place, (column, (kind, meaning)) in enumerate(columns.items())
    ]
    return {"@type": "cr:RecordSet", "@id": name, "name": name, "field": fields}


def _counts(record: Record) -> list[dict[str, Any]]:
    """What was counted, as record sets that hold their records themselves."""
    folds = [fold.model_dump(mode="json", exclude={"classes"}) for fold in record.folds]
    classes = [
        {"fold": fold.fold, "class": name, "images": images}
        for fold in record.folds
        for name, images in fold.classes.items()
    ]
    leaks = [leak.model_dump(mode="json") for leak in record.leaks]
    told = {"folds": folds, "classes": classes, "leaks": leaks}
    return [_inline(name, rows) for name, rows in told.items() if rows]


def _inline(name: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A record set of given rows, which all have the same keys."""
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "field": [
            _field(f"{name}/{key}", key, _INTEGER if isinstance(value, int) else _TEXT)
            for key, value in rows[0].items()
        ],
        "data": [{f"{name}/{key}": value for key, value in row.items()} for row in rows],
    }


def _field(identifier: str, name: str, kind: str, meaning: str = "") -> dict[str, Any]:
    """A field; its identifier may hold no blanks, which names of columns may."""
    told = {"description": meaning} if meaning else {}
    return {"@type": "cr:Field", "@id": identifier, "name": name, **told, "dataType": kind}
