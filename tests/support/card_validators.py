"""Validators of the four cards: those of their formats where there is one, else what the format's page requires.

None may reach the network.
"""

from __future__ import annotations

import re
import socket
import warnings
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse every look-up of an address."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a validator asked for an address of the network")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


def read_croissant(dataset: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the records of each record set, read with mlcroissant; raises its errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of rdflib, in its own code
        import mlcroissant

        read = mlcroissant.Dataset(str(dataset / "croissant.json"))
        assert not read.metadata.ctx.issues.errors
        return {found.id: list(read.records(found.id)) for found in read.metadata.record_sets}


def croissant_faults(dataset: Path) -> list[str]:
    """Return the errors of mlcroissant, which also reads every record of the tables."""
    from mlcroissant import ValidationError
    from mlcroissant._src.core.issues import GenerationError

    try:
        read_croissant(dataset)
    except (ValidationError, GenerationError) as error:
        return [f"{type(error).__name__}: {error}"]
    return []


def package_faults(dataset: Path) -> list[str]:
    """Return the errors of frictionless for the data package, with its data."""
    import frictionless

    report = frictionless.validate(str(dataset / "datapackage.json"))
    return [f"{kind}: {message}" for kind, message in report.flatten(["type", "message"])]


# Of the pages "Dataset Cards" and "Licenses" of the Hub's documentation.
HUB_LICENSES = {
    "unknown", "other", "mit", "apache-2.0", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nd-4.0",
    "cc-by-nc-sa-4.0", "cc-by-nc-nd-4.0", "odc-by", "odbl", "pddl", "cdla-permissive-2.0",
}  # fmt: skip
HUB_SIZES = {
    "n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "10M<n<100M", "100M<n<1B", "1B<n<10B", "10B<n<100B",
    "100B<n<1T", "n>1T",
}  # fmt: skip
_LINE, _LINES = {"type": "string", "minLength": 1}, {"type": "array", "items": {"type": "string"}}
_PER_CONFIG = {"type": "array", "items": {"type": "object", "required": ["config_name"]}}
HUB_SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["license", "pretty_name", "size_categories"],
    "properties": {
        "license": {"enum": sorted(HUB_LICENSES)},
        "license_name": _LINE,
        "license_link": _LINE,
        "pretty_name": _LINE,
        "tags": {**_LINES, "uniqueItems": True},
        "task_categories": _LINES,
        "size_categories": {"type": "array", "items": {"enum": sorted(HUB_SIZES)}},
        "configs": _PER_CONFIG,
        "dataset_info": _PER_CONFIG,
    },
}
_DTYPES = {"string", "int64", "float64", "bool"}


def front_matter_of(text: str) -> Any:
    """Return the front matter of a card, as the Hub finds it: from the first line to the next line of three dashes."""
    match = re.match(r"---\n(.*?)^---$", text, re.S | re.M)
    return yaml.safe_load(match[1]) if match else None


def hub_faults(dataset: Path) -> list[str]:
    """Return what is wrong with the front matter of the card."""
    found = front_matter_of((dataset / "DATASET_CARD.md").read_text("utf-8"))
    faults = [error.message for error in jsonschema.Draft202012Validator(HUB_SCHEMA).iter_errors(found)]
    if faults:
        return faults
    paths = {config["config_name"]: config["data_files"][0]["path"] for config in found.get("configs", [])}
    for config in found.get("dataset_info", []):
        head = (dataset / paths[config["config_name"]]).read_text("utf-8").split("\n")[0].split(",")
        if [feature["name"] for feature in config["features"]] != head:
            faults.append(f"{config['config_name']}: other columns than the file")
        faults += [f"{feature}: no dtype" for feature in config["features"] if feature["dtype"] not in _DTYPES]
    return faults


# Of the guide to Citation File Format 1.2.0: the keys that a card may have, their types and required ones.
_PERSON = {"family-names": _LINE, "given-names": _LINE, "affiliation": _LINE}
_ORCID = {"type": "string", "pattern": r"^https://orcid\.org/[0-9]{4}-[0-9]{4}-[0-9]{4}-[0-9]{3}[0-9X]$"}
CITATION_SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["cff-version", "message", "title", "authors"],
    "properties": {
        "cff-version": {"const": "1.2.0"},
        "message": _LINE,
        "type": {"enum": ["dataset", "software"]},
        "title": _LINE,
        "abstract": _LINE,
        "version": _LINE,
        "date-released": {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"},
        "doi": {"type": "string", "pattern": r"^10\.\d{4,9}(\.\d+)?/[A-Za-z0-9:/_;\-\.\(\)\[\]\\]+$"},
        "url": {"type": "string", "pattern": "^https?://.+"},
        "license": {"enum": ["CC-BY-4.0", "CC0-1.0", "MIT", "Apache-2.0", "CC-BY-NC-4.0"]},
        "license-url": {"type": "string", "pattern": "^https?://.+"},
        "keywords": {"type": "array", "minItems": 1, "uniqueItems": True, "items": _LINE},
        "authors": {
            "type": "array",
            "minItems": 1,
            "items": {
                "anyOf": [
                    {"additionalProperties": False, "properties": {**_PERSON, "orcid": _ORCID}},
                    {
                        "additionalProperties": False,
                        "properties": {"name": _LINE, "orcid": _ORCID},
                        "required": ["name"],
                    },
                ]
            },
        },
    },
}


def citation_of(text: str) -> Any:
    """Return the content of a `CITATION.cff`."""
    return yaml.safe_load(text)


def citation_faults(dataset: Path) -> list[str]:
    """Return what is wrong with `CITATION.cff`."""
    found = citation_of((dataset / "CITATION.cff").read_text("utf-8"))
    return [error.message for error in jsonschema.Draft202012Validator(CITATION_SCHEMA).iter_errors(found)]


FAULTS = {
    "croissant.json": croissant_faults,
    "datapackage.json": package_faults,
    "DATASET_CARD.md": hub_faults,
    "CITATION.cff": citation_faults,
}
