"""Check the configuration: keys, types, ranges and folders. An error names the key, the value found and what is needed.

Runs in the main process before any work, and imports nothing that takes long.
"""

from __future__ import annotations

import difflib
import itertools
import json
import math
import os
import re
import stat
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dicomzarr.masks import coded_concepts
from dicomzarr.masks.names import check_masks
from dicomzarr.system import files
from dicomzarr.system.project import ROOT
from dicomzarr.system.safe_messages import without_login
from dicomzarr.vocabulary.errors import ConfigProblem
from dicomzarr.vocabulary.findings import (
    EXPORT_FINDINGS,
    FIXED_FINDING,
    LABEL_FINDINGS,
    MASK_FINDINGS,
    OUTCOME_FINDINGS,
    STUDY_FINDING,
    TIE_FINDING,
    VERDICT_FINDINGS,
)
from dicomzarr.vocabulary.reasons import REASONS
from dicomzarr.workflow import config_file
from dicomzarr.workflow.card_settings import check_card, with_text_date
from dicomzarr.workflow.dicomweb_settings import check_dicomweb
from dicomzarr.workflow.folders import first_there
from dicomzarr.workflow.refused_values import sentence

SCHEMA = ROOT / "schemas" / "config.schema.json"
DEFAULTS = ROOT / "config.yaml"
SWITCHES = ("confirm_drop", "paranoid", "keep_removed", "follow_links")


@dataclass(frozen=True, slots=True)
class Settings:
    """What the main process needs of the checked configuration; the rules read its keys themselves.

    Attributes
    ----------
    sources : dict of str to bytes
        Roots of the source by label: absolute folders, URLs of object storage. The label is empty if there is one
        source only.
    results : Path
        As the user wrote it.
    """

    sources: dict[str, bytes]
    results: Path
    labels: list[dict[str, Any]]
    splits: dict[str, Any]
    card: dict[str, Any]
    masks: dict[str, Any]
    publish: dict[str, Any]
    largest_drop: float
    confirm_drop: bool
    paranoid: bool
    restored: str
    follow_links: bool

    @property
    def listing(self) -> dict[str, Any]:
        """Keyword arguments of `listing.list_sources`."""
        return {"follow_links": self.follow_links, "largest_loss": 1.0 if self.confirm_drop else self.largest_drop}


def is_on(value: object) -> bool:
    """Return whether a switch is on: a boolean in a config file, text on the command line."""
    return value is True or value == "true"


def _check_schema(config: Mapping[str, Any]) -> None:
    import jsonschema  # a quarter of a second, in the main process only

    validator = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text("utf-8")))
    errors = sorted(validator.iter_errors(dict(config)), key=lambda e: [str(part) for part in e.absolute_path])
    if errors:
        raise ConfigProblem(sentence(errors[0]))


def _refuse_names(value: object, key: str) -> None:
    """Refuse names that are no text: YAML reads 2024, 1 and no as numbers and switches."""
    items = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for name, item in items:
        if isinstance(value, Mapping) and not isinstance(name, str):
            word, kind = (str(name).lower(), "true/false") if isinstance(name, bool) else (str(name), "no text")
            example = f', as in "{name}"' if kind == "no text" else ""
            raise ConfigProblem(
                f"config key {key!r}: found the name {word} ({kind}), needed is text; put it in quotes{example}"
            )
        _refuse_names(item, f"{key}.{name}".lstrip("."))


def _refuse_not_finite(value: object, key: str) -> None:
    """Refuse NaN and infinity: NaN passes every comparison of the schema with a bound."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigProblem(f"config key {key!r}: found {value}, needed is a number")
    items = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for name, item in items:
        _refuse_not_finite(item, f"{key}.{name}".lstrip("."))


def _check_gate(gate: Mapping[str, int]) -> None:
    known = {*OUTCOME_FINDINGS, *VERDICT_FINDINGS, *LABEL_FINDINGS, *EXPORT_FINDINGS, *REASONS}
    known |= {*MASK_FINDINGS, FIXED_FINDING, TIE_FINDING, STUDY_FINDING}
    for finding in gate:
        if finding not in known:
            near = difflib.get_close_matches(finding, sorted(known), 1)
            hint = f"did you mean {near[0]!r}?" if near else "see config.yaml for the findings"
            raise ConfigProblem(f"config key 'gate.{finding}' is not a finding; {hint}")


def _check_labels(labels: Sequence[Mapping[str, Any]]) -> None:
    """Refuse labels without a source or allowed values, and a label with words in one source and numbers in another."""
    kinds: dict[str, object] = {}
    for number, label_source in enumerate(labels):
        key = f"labels.{number}"
        needed = ("file", "by", "key", "columns") if "file" in label_source else ("folder", "name", "values")
        if not {"file", "folder"} & set(label_source):
            raise ConfigProblem(
                f"config key {key!r}: found neither 'file' nor 'folder'; needed are file, by, key and columns, for a "
                "table, or folder, name and values"
            )
        for name in needed:
            if name not in label_source:
                raise ConfigProblem(f"config key '{key}.{name}' is missing; needed are {', '.join(needed)}")
        optional = {"issuer"} if label_source.get("by") == "patient" else set()
        unexpected = sorted(set(label_source) - set(needed) - optional)
        if unexpected:
            raise ConfigProblem(
                f"config key '{key}.{unexpected[0]}' is not possible with {needed[0]!r}: needed are {', '.join(needed)}"
            )
        has_columns = "columns" in label_source
        columns = label_source["columns"] if has_columns else {label_source["name"]: {"values": label_source["values"]}}
        for name, allowed in columns.items():
            place = f"{key}.columns.{name}" if has_columns else key
            if ("values" in allowed) == ("range" in allowed):
                found = "both 'values' and 'range'" if "values" in allowed else "neither 'values' nor 'range'"
                raise ConfigProblem(
                    f"config key {place!r}: found {found}, needed is one of them, such as {{values: [benign, other]}}"
                )
            if "range" in allowed and allowed["range"][0] > allowed["range"][1]:
                raise ConfigProblem(f"config key '{place}.range': found a first number above the second")
            if kinds.setdefault(name, "range" in allowed) != ("range" in allowed):
                raise ConfigProblem(
                    f"config key {place!r}: the label {name!r} has words in one place and numbers in another"
                )


def _check_splits(splits: Mapping[str, Any]) -> None:
    if "stratify" in splits:
        raise ConfigProblem(
            "config key 'splits.stratify' is not supported: with exact strata, a new patient could move others to "
            "another split; here the split depends on the patient alone, balanced by chance. Remove the key, check the "
            "balance in the report, and choose another seed if needed"
        )
    if splits and not splits.get("fractions"):
        raise ConfigProblem(
            "config key 'splits.fractions' is missing; needed: {train: 0.9, val: 0.1}, or beside lists {unlisted: 1}"
        )
    total = math.fsum(splits.get("fractions", {}).values())
    if splits and not abs(total - 1) <= 1e-9:  # as is NaN
        raise ConfigProblem(f"config key 'splits.fractions': found shares that add up to {total:g}, needed is 1")


MOST_REGIONS = 7  # 2**7 - 1, the number of all of them, is the largest that nnU-Net keeps in 8 bits


def _check_nnunet(nnunet: Mapping[str, Any], names: Collection[str]) -> None:
    """Refuse an incomplete training set, more regions than fit, and labels that no mask could have."""
    missing = [name for name in ("dataset", "modality", "labels") if name not in nnunet]
    if nnunet and missing:
        raise ConfigProblem(
            f"config key 'nnunet.{missing[0]}' is missing; needed are a dataset, such as Dataset001_Liver, the "
            "modality of its images, and labels, which are names of masks"
        )
    if nnunet.get("overlaps", "refuse") != "refuse" and len(nnunet["labels"]) > MOST_REGIONS:
        raise ConfigProblem(
            f"config key 'nnunet.labels': found {len(nnunet['labels'])} names, allowed are up to {MOST_REGIONS} with "
            f"overlaps: {nnunet['overlaps']}"
        )
    known = {*names, *coded_concepts.ALL_NAMES}
    for number, name in enumerate(nnunet.get("labels", ())):
        if name not in known:
            near = difflib.get_close_matches(name, sorted(known), 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ConfigProblem(
                f"config key 'nnunet.labels.{number}': found {name!r}, which is neither in masks.names nor a coded "
                f"concept, so that no mask could have it{hint}"
            )


def check_exports(nnunet: Mapping[str, Any], publish: Mapping[str, Any], rules: Collection[str]) -> None:
    """Check that the configuration has what the requested exports and `publish` need.

    Parameters
    ----------
    nnunet, publish : mapping
        The config keys of these names.
    rules : collection of str
        Names of the rules that were requested.

    Raises
    ------
    ConfigProblem
        If something is missing.
    """
    if "publish" in rules and not publish:
        raise ConfigProblem(
            "config key 'publish' is empty; ./run publish needs its target, such as s3://bucket/prefix: see config.yaml"
        )
    if not nnunet and (needy := sorted({"export_nnunet", "export_monai"} & set(rules))):
        raise ConfigProblem(
            f"config key 'nnunet' is empty; {needy[-1]} needs its dataset, modality and labels: see config.yaml"
        )
    if "export_monai" in rules and nnunet.get("format") == "zarr":
        raise ConfigProblem(
            "config key 'nnunet.format': found 'zarr', export_monai needs nifti; docs/reading.md shows how MONAI reads "
            "the dataset itself"
        )


def _within(inner: Path, outer: Path) -> bool:
    return inner == outer or outer in inner.parents


def _refuse_unusable(results: str) -> None:
    """Refuse characters that have a meaning in paths of Snakemake, or that it cannot write."""
    refuse_unexpanded("results", results)
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", results) and not files.exists(Path(results)):
        raise ConfigProblem(
            f"config key 'results': found {without_login(results)!r}, which looks like a URL; needed is a folder. "
            "./run publish sends the dataset to a bucket: config key publish"
        )
    reserved = sorted(set(results) & set("{}<>\n\0"))
    if reserved:
        raise ConfigProblem(
            f"config key 'results': found {reserved[0]!r} in {results!r}; not allowed in its name are {{ }} < > and "
            "line breaks, which Snakemake reserves"
        )
    if re.search("[\ud800-\udfff]", results):
        raise ConfigProblem(
            f"config key 'results': found bytes that are no UTF-8 in {results!r}; Snakemake cannot write such a path. "
            "Rename that folder, or start in it and give a path from there"
        )


_VARIABLE = re.compile(r"\$[A-Za-z_]\w*|\$\{[^}/]*\}|%[A-Z][A-Z0-9_]*%")  # of a shell: $NAME, ${NAME} or %NAME%


def refuse_unexpanded(key: str, text: str) -> None:
    """Refuse a path with ~ or a variable, which is not expanded here, unless a file or folder has that very name."""
    unexpanded = "~" if text.startswith("~") else ""
    for end in (match.end() for match in re.finditer(r"[^/]+", text)):
        variable = _VARIABLE.search(text, text.rfind("/", 0, end) + 1, end)
        unexpanded = unexpanded or (variable[0] if variable else "")
        if unexpanded and os.path.lexists(text[:end]):
            unexpanded = ""
    if unexpanded:
        raise ConfigProblem(
            f"config key {key!r}: {text!r} holds {unexpanded}, which is not expanded; write the whole path, such as "
            "/data/study"
        )


def _refuse_unexpanded_files(labels: Sequence[Mapping[str, Any]], fixed: Mapping[str, str]) -> None:
    for number, label_source in enumerate(labels):
        if "file" in label_source:
            refuse_unexpanded(f"labels.{number}.file", label_source["file"])
    for split, name in fixed.items():
        refuse_unexpanded(f"splits.fixed.{split}", name)


_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")  # of a URL: any other source is a folder


def _object_roots(value: str | Mapping[str, str], options: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the roots of the sources that are URLs, by label."""
    urls = {label: text for label, text in _by_label(value).items() if _SCHEME.match(text)}
    if not urls:
        return {}
    from dicomzarr.source.object_store import configured_root

    roots = {
        label: configured_root(f"source.{label}" if label else "source", text, options, os.environ)
        for label, text in urls.items()
    }
    locations = sorted(root.partition(b"?")[0] for root in roots.values())
    if any(second.startswith(first) for first, second in itertools.pairwise(locations)):
        raise ConfigProblem("config key 'source': one prefix lies inside another; each object may be listed only once")
    return roots


def _by_label(value: str | Mapping[str, str]) -> dict[str, str]:
    return {"": value} if isinstance(value, str) else dict(value)


def _source_folders(value: str | Mapping[str, str], retrieved: str | None) -> dict[str, Path]:
    """Return the folders by label; `retrieved` is the label of the one that ./run retrieve fills, if it does."""
    folders: dict[str, Path] = {}
    for label, text in _by_label(value).items():
        if _SCHEME.match(text):
            continue
        key = f"source.{label}" if label else "source"
        refuse_unexpanded(key, text)
        folder = Path(os.path.abspath(text))
        try:
            is_folder = stat.S_ISDIR(os.stat(folder).st_mode)
        except (FileNotFoundError, NotADirectoryError, ValueError):  # a NUL in it
            advice = "mount its disk, or name the folder of DICOM files in a configuration file: --configfile my.yaml"
            if label == retrieved:
                advice = "./run retrieve, with the same configuration, fills it: docs/dicomweb.md; or mount its disk"
            raise ConfigProblem(f"config key {key!r}: the folder {str(folder)!r} does not exist; {advice}") from None
        except OSError as error:
            raise ConfigProblem(f"config key {key!r}: the folder {text!r} cannot be read: {error.strerror}") from None
        if not is_folder:
            raise ConfigProblem(f"config key {key!r}: {text!r} is not a folder; name the folder of DICOM files")
        if not os.access(folder, os.R_OK | os.X_OK):
            raise ConfigProblem(f"config key {key!r}: the folder {text!r} cannot be read by this user")
        folders[label] = folder
    real = [folder.resolve() for folder in folders.values()]
    for index, folder in enumerate(real):
        for other in real[index + 1 :]:
            if _within(folder, other) or _within(other, folder):
                raise ConfigProblem(
                    "config key 'source': one folder lies inside another; each file may be listed only once"
                )
    return folders


def with_defaults(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of a configuration in which missing keys have their default from `config.yaml`.

    `results` is as `Path` writes it: Snakemake takes `./results` and `results/` for other files than `results`.
    """
    merged = config_file.merged(config_file.read(DEFAULTS, str(DEFAULTS)), config)
    if isinstance(merged["results"], str) and merged["results"]:
        folder = Path(merged["results"])
        merged["results"] = str(folder if folder.parts else folder.absolute())
    merged["card"] = with_text_date(merged["card"])
    return merged | {name: is_on(merged[name]) or merged[name] for name in SWITCHES}


def known_keys(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys of this workflow from a configuration that is shared with another Snakefile."""
    known = json.loads(SCHEMA.read_text("utf-8"))["properties"]
    return {key: value for key, value in config.items() if key in known}


def check_keys(config: Mapping[str, Any]) -> None:
    """Check the names, types and ranges of all keys, but no folder.

    Raises
    ------
    ConfigProblem
        If a key is unknown, or has a wrong type or value; the first one is named.
    """
    check_dicomweb(config.get("dicomweb", {}))  # before the schema, whose messages quote a value
    for key, value in config.items():
        try:
            _refuse_names({key: value}, "")
        except RecursionError:
            raise ConfigProblem(
                f"config key {key!r}: a YAML alias (*name) lies within its own anchor (&name)"
            ) from None
    _check_schema(config)
    _refuse_not_finite(dict(config), "")
    _check_gate(config["gate"])
    _check_labels(config["labels"])
    _check_splits(config["splits"])
    check_masks(config["masks"])
    if config["publish"] and "target" not in config["publish"]:
        raise ConfigProblem(
            "config key 'publish.target' is missing; needed is s3://bucket/prefix or an absolute folder"
        )
    _check_nnunet(config["nnunet"], config["masks"].get("names", {}))
    check_card(config["card"])


def check(config: Mapping[str, Any]) -> Settings:
    """Return the checked settings.

    Parameters
    ----------
    config : mapping
        The configuration with its defaults.

    Raises
    ------
    ConfigProblem
        If a key is unknown, has a wrong type or value, or names a folder that cannot be used; the first one is named.
    """
    check_keys(config)
    if config["burned_in"] == "keep" and not config["burned_in_reason"].strip():
        raise ConfigProblem(
            "config key 'burned_in_reason' is empty; "
            "burned_in: keep needs a sentence that says why these images may be kept"
        )
    object_roots = _object_roots(config["source"], config["object_store"])
    folders = _source_folders(config["source"], config["dicomweb"].get("label", "") if config["dicomweb"] else None)
    _refuse_unexpanded_files(config["labels"], config["splits"].get("fixed", {}))
    _refuse_unusable(config["results"])
    results = Path(config["results"])
    try:
        place = Path(os.path.abspath(results)).resolve()
        there = first_there(results)
    except OSError as error:
        raise ConfigProblem(f"config key 'results': it cannot be a folder: {os.strerror(error.errno or 0)}") from None
    for folder in folders.values():
        if _within(place, folder.resolve()):
            raise ConfigProblem("config key 'results': it lies inside the source; choose a folder outside of it")
        if _within(folder.resolve(), place):
            raise ConfigProblem("config key 'source': it lies inside the results; choose a folder outside of them")
    if not files.is_dir(there):
        what = "link to nothing; mount or make its target, or" if files.is_symlink(there) else "file, and no folder;"
        raise ConfigProblem(f"config key 'results': {str(there)!r} is a {what} name another folder")
    return Settings(
        sources={label: os.fsencode(folder) for label, folder in folders.items()} | object_roots,
        results=results,
        labels=[dict(label_source) for label_source in config["labels"]],
        splits=dict(config["splits"]),
        card=dict(config["card"]),
        masks=dict(config["masks"]),
        publish=dict(config["publish"]),
        largest_drop=float(config["largest_drop"]),
        confirm_drop=is_on(config["confirm_drop"]),
        paranoid=is_on(config["paranoid"]),
        restored={"true": "yes", "false": "no"}.get(str(config["restored"]).lower(), str(config["restored"])),
        follow_links=is_on(config["follow_links"]),
    )
