"""`croissant.json`: the dataset as MLCommons Croissant 1.0, JSON-LD that loaders and catalogues read.

Record sets describe `volumes.csv` and `masks.csv`; the arrays are a set of files, which the column `array` leads to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dicomzarr.stages.write_cards.card import NO_DESCRIPTION, Card
from dicomzarr.stages.write_cards.columns import BOOLEAN, INTEGER, LABEL, NUMBER, STRING, Column, Table, Vocabularies

# The context that the specification requires, in full: nothing is fetched.
CONTEXT: Mapping[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
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
_TYPES = {STRING: "sc:Text", INTEGER: "sc:Integer", NUMBER: "sc:Float", BOOLEAN: "sc:Boolean"}
IMAGES, PICTURES = "images.zarr", "reports/pictures"
_RECORDS = ("volumes", "masks")  # tables that are record sets


def croissant(
    card: Card, tables: Sequence[Table], digests: Mapping[str, str], vocabularies: Vocabularies
) -> dict[str, Any]:
    """Return the content of `croissant.json`.

    Parameters
    ----------
    card : Card
    tables : sequence of Table
    digests : mapping of str to str
        SHA-256 of each table, by its path.
    vocabularies : Vocabularies
    """
    described = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": card.shown_title,
        "description": card.description or NO_DESCRIPTION,
        "url": card.url or card.doi_url,
        "sameAs": card.doi_url if card.url else "",
        "license": card.license_page or ("" if not card.license else card.license_text),
        "version": card.version,
        "datePublished": card.date_released,
        "citeAs": card.citation if card.title else "",
        "keywords": list(card.keywords),
        "creator": [_creator(author.plain_name, author.is_person, author) for author in card.authors],
        "distribution": [*(_file_object(table, digests[table.path]) for table in tables), *_file_sets(tables)],
        "recordSet": [*_vocabularies(vocabularies), *(_records(table) for table in tables if table.name in _RECORDS)],
    }
    return {key: value for key, value in described.items() if value}


def _creator(name: str, is_person: bool, author: Any) -> dict[str, Any]:
    described: dict[str, Any] = {"@type": "sc:Person" if is_person else "sc:Organization", "name": name}
    if author.orcid:
        described["url"] = author.orcid_url
    if author.affiliation:
        described["affiliation"] = {"@type": "sc:Organization", "name": author.affiliation}
    return described


def _file_object(table: Table, digest: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": table.path,
        "name": table.path,
        "description": table.title,
        "contentUrl": table.path,
        "encodingFormat": "text/csv",
        "sha256": digest,
    }


def _file_sets(tables: Sequence[Table]) -> list[dict[str, Any]]:
    """Return the files that are too many to list."""
    images = "OME-Zarr 0.5 images in a Zarr v3 group; the column array of volumes.csv has their paths"
    pictures = "JPEG previews of the images, named after them"
    sets = [(IMAGES, images, "application/vnd.zarr+json", f"{IMAGES}/**")]
    if any(table.name == "pictures" for table in tables):
        sets.append((PICTURES, pictures, "image/jpeg", f"{PICTURES}/**/*.jpg"))
    return [
        {
            "@type": "cr:FileSet",
            "@id": name,
            "name": name,
            "description": description,
            "encodingFormat": encoding,
            "includes": pattern,
        }
        for name, description, encoding, pattern in sets
    ]


def _records(table: Table) -> dict[str, Any]:
    keys = [{"@id": f"{table.name}/{name}"} for name in table.key]
    return {
        "@type": "cr:RecordSet",
        "@id": table.name,
        "name": table.name,
        "description": f"{table.title}: one record for each row of {table.path}",
        "key": keys[0] if len(keys) == 1 else keys,
        "field": [_field(table, column) for column in table.columns],
    }


def _field(table: Table, column: Column) -> dict[str, Any]:
    is_label = column.name.startswith(LABEL)
    field: dict[str, Any] = {
        "@type": "cr:Field",
        "@id": f"{table.name}/{column.name}",
        "name": column.name,
        "description": column.meaning,
        "dataType": [_TYPES[column.kind], "cr:Label"] if is_label else _TYPES[column.kind],
        "source": {"fileObject": {"@id": table.path}, "extract": {"column": column.name}},
    }
    if table.of_array and column.name == "array":
        # The file, not the record set: mlcroissant joins with no record set that is itself joined.
        field["references"] = {"fileObject": {"@id": "volumes.csv"}, "extract": {"column": "array"}}
    elif (column.name == "split" or is_label) and column.values and joins(column.values):
        target = f"{column.name}_values" if is_label else "splits"
        field["references"] = {"field": {"@id": f"{target}/name"}}
    return {key: value for key, value in field.items() if value}


def joins(words: Sequence[str]) -> bool:
    """Return whether a loader that guesses types reads a column of these words as texts, and can look them up."""
    return not any(word.lower() in ("true", "false") or _is_number(word) for word in words)


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _vocabularies(vocabularies: Vocabularies) -> list[dict[str, Any]]:
    """Return the record sets of words that the configuration lists: splits, and values of labels."""
    lists = [_words("splits", "Splits of the subjects", "cr:Split", vocabularies.splits)] if vocabularies.splits else []
    for name, allowed in sorted(vocabularies.labels.items()):
        if allowed.get("values"):
            words = [str(value) for value in allowed["values"]]
            lists.append(_words(f"{LABEL}{name}_values", f"Values of the label {name}", "sc:Enumeration", words))
    return lists


def _words(name: str, description: str, kind: str, words: Sequence[str]) -> dict[str, Any]:
    field = f"{name}/name"
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": description,
        "dataType": kind,
        "key": {"@id": field},
        "field": [{"@type": "cr:Field", "@id": field, "name": "name", "dataType": "sc:Text"}],
        "data": [{field: word} for word in words],
    }
