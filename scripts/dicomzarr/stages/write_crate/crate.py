"""`ro-crate-metadata.json`: RO-Crate 1.1 by the profile Provenance Run Crate 0.5 of Workflow Run RO-Crate.

It states what the records hold and nothing else: no time, host, path or person that started the run. The files of the
source are one entity without address; their keyed digests are in the provenance by series. Times of actions, an agent
and a publisher are recommended by the profile, and left out: docs/decisions/0100. No count and no size is here, since a
number of eight digits may be a date or an id of the source (docs/decisions/0086).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from dicomzarr.records.digests import CHECKSUMS, CRATE, SEALED
from dicomzarr.records.record_file import FileClaim
from dicomzarr.stages.write_cards.card import NO_DESCRIPTION, Author, Card
from dicomzarr.stages.write_crate.run import BY_SERIES, IMAGES, PICTURES, StepRun
from dicomzarr.system import files

WORKFLOW = "provenance/Snakefile"
CONTEXT = ["https://w3id.org/ro/crate/1.1/context", {"sha256": "https://w3id.org/ro/terms/workflow-run#sha256"}]
RO_CRATE, WORKFLOW_CRATE = "https://w3id.org/ro/crate/1.1", "https://w3id.org/workflowhub/workflow-ro-crate/1.0"
PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": ("Process Run Crate", "0.5"),
    "https://w3id.org/ro/wfrun/workflow/0.5": ("Workflow Run Crate", "0.5"),
    "https://w3id.org/ro/wfrun/provenance/0.5": ("Provenance Run Crate", "0.5"),
    WORKFLOW_CRATE: ("Workflow RO-Crate", "1.0"),
}
# The root must have a date. A day that cannot be taken for a real one, where none is configured.
NOT_PUBLISHED = "9999-12-31"
SNAKEMAKE = "https://w3id.org/workflowhub/workflow-ro-crate#snakemake"
APACHE = "https://spdx.org/licenses/Apache-2.0"
SOURCE = "#source"
_FORMATS = {
    ".csv": "text/csv",
    ".json": "application/json",
    ".md": "text/markdown",
    ".cff": "text/yaml",
    ".html": "text/html",
    "": "text/plain",
}
_FOLDERS = {
    IMAGES: "OME-Zarr 0.5 images and masks in a Zarr v3 group; volumes.csv and masks.csv list them",
    PICTURES: "JPEG previews of the images, named after them",
    BY_SERIES[0]: "what the extraction of each series read and wrote: keyed digests of source files, digests of arrays",
    BY_SERIES[1]: "what reading back each series found: verdicts on its arrays and masks",
}
_KINDS = {bool: "Boolean", int: "Integer", float: "Float"}

Entity = dict[str, Any]


def crate(
    card: Card, steps: Sequence[StepRun], config: Mapping[str, Any], software: Mapping[str, str], snakefile: bytes
) -> bytes:
    """Return the content of `ro-crate-metadata.json`.

    Parameters
    ----------
    card : Card
        The config key `card`.
    steps : sequence of StepRun
        In their order.
    config : mapping
        The keys of the configuration that are published.
    software : mapping of str to str
        Versions of packages, by name.
    snakefile : bytes
        The workflow, as it is at `WORKFLOW`.
    """
    claims = {path: claim for step in steps for path, claim in step.files.items()}
    claims[WORKFLOW] = FileClaim(len(snakefile), files.sha256_of_bytes(snakefile))
    folders = [folder for step in steps for folder in step.folders]
    parts = [*(_file(path, claim) for path, claim in sorted(claims.items()) if path != WORKFLOW), *_written_later()]
    settings = [entity for name, value in sorted(config.items()) for entity in _setting(name, value)]
    packages = [_package(name, version) for name, version in sorted(software.items())]
    actions = [_action(step) for step in steps]
    graph = [
        {
            "@id": CRATE,
            "@type": "CreativeWork",
            "conformsTo": [_ref(RO_CRATE), _ref(WORKFLOW_CRATE)],
            "about": _ref("./"),
        },
        _root(card, [part["@id"] for part in parts], folders, ["#run", *(action["@id"] for action in actions)]),
        *(_profile(address) for address in PROFILES),
        _workflow(steps, claims[WORKFLOW], [entity["@id"] for entity in settings if _is_parameter(entity)]),
        _language(),
        _license(APACHE, "Apache-2.0", "Licence of the workflow, not of the data"),
        *_licenses(card),
        *(entity for number, author in enumerate(card.authors, 1) for entity in _author(author, number)),
        *parts,
        *({"@id": f, "@type": "Dataset", "name": f.rstrip("/"), "description": _FOLDERS[f]} for f in folders),
        *_source(),
        *settings,
        *packages,
        *(entity for number, step in enumerate(steps, 1) for entity in _tool(step, number, packages)),
        _whole_run(steps, claims, folders, [entity["@id"] for entity in settings if not _is_parameter(entity)]),
        *actions,
    ]
    entities = {entity["@id"]: entity for entity in graph}  # an author may be named twice
    content = {"@context": CONTEXT, "@graph": list(entities.values())}
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()


def _ref(address: str) -> dict[str, str]:
    return {"@id": address}


def _refs(addresses: Sequence[str]) -> list[dict[str, str]] | dict[str, str]:
    """Return references; a single one without a list, as RO-Crate recommends."""
    return _ref(addresses[0]) if len(addresses) == 1 else list(map(_ref, addresses))


def _filled(entity: Entity) -> Entity:
    """Return an entity without empty values."""
    return {name: value for name, value in entity.items() if value not in ("", [], {}, None)}


# ---- the dataset


def _root(card: Card, parts: Sequence[str], folders: Sequence[str], actions: Sequence[str]) -> Entity:
    page = card.license_page
    return _filled(
        {
            "@id": "./",
            "@type": "Dataset",
            "name": card.shown_title,
            "description": card.description or NO_DESCRIPTION,
            "datePublished": card.date_released or NOT_PUBLISHED,
            "creativeWorkStatus": "" if card.date_released else "Not published: no date of release is stated",
            "license": _ref(page) if page else card.license_text,
            "author": _refs([_id_of(author, number) for number, author in enumerate(card.authors, 1)]),
            "version": card.version,
            "url": card.url,
            "identifier": card.doi_url,
            "keywords": list(card.keywords) if len(card.keywords) != 1 else card.keywords[0],
            "conformsTo": _refs([*PROFILES]),
            "mainEntity": _ref(WORKFLOW),
            "hasPart": _refs([WORKFLOW, *parts, *folders]),
            "mentions": _refs(actions),
        }
    )


def _profile(address: str) -> Entity:
    name, version = PROFILES[address]
    return {"@id": address, "@type": "CreativeWork", "name": name, "version": version}


def _license(address: str, name: str, description: str) -> Entity:
    return {"@id": address, "@type": "CreativeWork", "name": name, "description": description}


def _licenses(card: Card) -> list[Entity]:
    page = card.license_page
    return [_license(page, card.license_text, "Licence of the dataset")] if page and page != APACHE else []


def _id_of(author: Author, number: int) -> str:
    return author.orcid_url or f"#author-{number}"


def _author(author: Author, number: int) -> list[Entity]:
    if not author.is_person:
        return [{"@id": _id_of(author, number), "@type": "Organization", "name": author.name}]
    place = f"#affiliation-{number}"
    person = {
        "@id": _id_of(author, number),
        "@type": "Person",
        "name": author.plain_name,
        "familyName": author.family,
        "givenName": author.given,
        "affiliation": _ref(place) if author.affiliation else None,
    }
    organisation = {"@id": place, "@type": "Organization", "name": author.affiliation}
    return [_filled(person), *([organisation] if author.affiliation else [])]


def _file(path: str, claim: FileClaim) -> Entity:
    return {
        "@id": path,
        "@type": "File",
        "name": PurePosixPath(path).name,
        "encodingFormat": _FORMATS.get(PurePosixPath(path).suffix, "application/octet-stream"),
        "sha256": claim.digest,
    }


def _written_later() -> list[Entity]:
    """Return the files that are written after this one, which has no digest of them: they have one of it."""
    listed = "size and SHA-256 of every file but itself and dataset.json"
    sealed = "digest of the data and seal of all files, and what the dataset was made with"
    return [
        {"@id": CHECKSUMS, "@type": "File", "name": CHECKSUMS, "encodingFormat": "text/plain", "description": listed},
        {"@id": SEALED, "@type": "File", "name": SEALED, "encodingFormat": "application/json", "description": sealed},
    ]


# ---- the workflow and its steps


def _workflow(steps: Sequence[StepRun], claim: FileClaim, parameters: Sequence[str]) -> Entity:
    return {
        **_file(WORKFLOW, claim),
        "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"],
        "name": "dicomzarr",
        "description": "From folders of DICOM files to a verified OME-Zarr dataset: the list of its rules",
        "version": claim.digest[:16],
        "license": _ref(APACHE),
        "programmingLanguage": _ref(SNAKEMAKE),
        "hasPart": _refs([f"#{step.rule}" for step in steps]),
        "step": _refs([f"#step-{step.rule}" for step in steps]),
        "input": _refs(["#parameter-source", *parameters]),
    }


def _language() -> Entity:
    address = "https://snakemake.readthedocs.io"
    return {
        "@id": SNAKEMAKE,
        "@type": "ComputerLanguage",
        "name": "Snakemake",
        "url": _ref(address),
        "identifier": _ref(address),
    }


def _package(name: str, version: str) -> Entity:
    address = f"https://pypi.org/project/{name}/{version}/"
    return {"@id": address, "@type": "SoftwareApplication", "name": name, "softwareVersion": version, "url": address}


def _tool(step: StepRun, number: int, packages: Sequence[Entity]) -> list[Entity]:
    """Return the script of a step, and the step."""
    tool, name = f"#{step.rule}", step.rule.replace("_", " ")
    described = f"Reads {step.step.reads}; writes {step.step.writes}"
    requirements = _refs([package["@id"] for package in packages])
    return [
        {
            "@id": tool,
            "@type": "SoftwareApplication",
            "name": f"dicomzarr {step.rule}",
            "description": described,
            "softwareVersion": step.code,
            "softwareRequirements": requirements,
        },
        {
            "@id": f"#step-{step.rule}",
            "@type": "HowToStep",
            "name": name,
            "position": number,
            "workExample": _ref(tool),
        },
    ]


def _source() -> list[Entity]:
    """Return the files of the source, which are not part of the crate, and the parameter that names them."""
    text = (
        "Files of the source: not part of the dataset. Keyed digests of their content are in provenance/extract_batch/"
    )
    return [
        {
            "@id": SOURCE,
            "@type": "Dataset",
            "name": "source",
            "description": text,
            "exampleOfWork": _ref("#parameter-source"),
        },
        {
            "@id": "#parameter-source",
            "@type": "FormalParameter",
            "name": "source",
            "additionalType": "Dataset",
            "workExample": _ref(SOURCE),
        },
    ]


def _is_parameter(entity: Entity) -> bool:
    return bool(entity["@type"] == "FormalParameter")


def _setting(name: str, value: Any) -> list[Entity]:
    """Return a key of the configuration as a parameter of the workflow, and its value in this run."""
    place, parameter = f"#config-{name}", f"#parameter-{name}"
    plain = isinstance(value, bool | int | float | str)
    shown = value if plain else json.dumps(value, sort_keys=True, ensure_ascii=False)
    return [
        {
            "@id": parameter,
            "@type": "FormalParameter",
            "name": name,
            "additionalType": _KINDS.get(type(value), "Text"),
            "workExample": _ref(place),
        },
        {"@id": place, "@type": "PropertyValue", "name": name, "value": shown, "exampleOfWork": _ref(parameter)},
    ]


# ---- what was run


def _action(step: StepRun) -> Entity:
    """Return the run of a step; one that wrote nothing to share created nothing."""
    result = [*step.files, *step.folders]
    return _filled(
        {
            "@id": f"#run-{step.rule}",
            "@type": "CreateAction" if result else "ActivateAction",
            "name": f"Run of {step.rule}",
            "description": f"Reads {step.step.reads}",
            "instrument": _ref(f"#{step.rule}"),
            "object": _refs([SOURCE]) if step.rule in ("discover_files", "index_headers", "extract_batch") else [],
            "result": _refs(result),
            "actionStatus": "http://schema.org/CompletedActionStatus",
        }
    )


def _whole_run(
    steps: Sequence[StepRun], claims: Mapping[str, FileClaim], folders: Sequence[str], settings: Sequence[str]
) -> Entity:
    written = [path for path in sorted(claims) if path != WORKFLOW]
    return {
        "@id": "#run",
        "@type": "CreateAction",
        "name": "Run of the workflow",
        "description": f"{len(steps)} steps; a step that works on batches is described as one",
        "instrument": _ref(WORKFLOW),
        "object": _refs([SOURCE, *settings]),
        "result": _refs([*written, *folders]),
        "actionStatus": "http://schema.org/CompletedActionStatus",
    }
