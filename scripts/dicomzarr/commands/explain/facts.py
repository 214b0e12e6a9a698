"""What is known of how an array was made, from the files of a dataset alone; from the private tables, only paths."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dicomzarr.commands.tables import row_of, rows
from dicomzarr.dicom.transfer_syntaxes import TRANSFER_SYNTAXES
from dicomzarr.system import json_files
from dicomzarr.system.results_folder import Results
from dicomzarr.vocabulary.errors import UserError
from dicomzarr.vocabulary.reasons import REASONS
from dicomzarr.vocabulary.rules import RULES
from dicomzarr.vocabulary.steps import STEPS

SEALED = "dataset.json"
_COMPARED = ("modality", "kind", "axes", "shape", "dtype", "spacing_mm")  # columns that say how two arrays differ
# Attributes that say why an array is as it is; `acquisition` is compared value by value.
_GROUPING = ("t_axis", "acquisition", "split_by", "group", "missing_slices", "orientation_lps")

Explanation = dict[str, Any]


def explain(dataset: Path, array: str, mask: str = "") -> Explanation:
    """Return what is known of an array, or of a mask on it, as JSON values.

    Parameters
    ----------
    dataset : Path
        The folder of the dataset; nothing else is read.
    array : str
    mask : str
        A mask on this array; empty for the array itself.

    Returns
    -------
    dict
        See ``./run explain --json`` in docs/commands.md.
    """
    row = row_of(dataset / "volumes.csv", {"array": array})
    extracted = _line(dataset, "extract_batch", array)
    checked = _line(dataset, "check_batch", array)
    attributes = _attributes(dataset, array)
    sealed = _json(dataset / SEALED)
    found: Explanation = {
        "array": array,
        "mask": mask,
        "sealed": bool(sealed),
        "what": row_of(dataset / "masks.csv", {"array": array, "mask": mask}) if mask else row,
        "files": _mask_files(dataset, array, mask, extracted) if mask else _files(array, extracted),
        "grouping": _grouping(dataset, row, attributes),
        "decoding": _decoding(array, attributes, extracted),
        "checks": _checks(dataset, array, mask),
        "looked": extracted.get("looked", {}),
        "made_by": {
            "config": sealed.get("config", {}),
            "software": sealed.get("software", {}),
            "options": extracted.get("params", {}),
        },
        "chain": _chain(dataset, array, mask, extracted, checked, sealed),
    }
    return found


def _json(path: Path) -> dict[str, Any]:
    """Return an object; an empty one if it cannot be read."""
    try:
        found = json_files.read_json(path)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _attributes(dataset: Path, array: str) -> dict[str, Any]:
    found = _json(dataset / "images.zarr" / array / "zarr.json").get("attributes", {}).get("dicomzarr", {})
    return found if isinstance(found, dict) else {}


def _line(dataset: Path, rule: str, array: str) -> dict[str, Any]:
    """Return the provenance of the series of an array; an empty object if there is none."""
    series_id = array[:16]
    try:
        with open(dataset / "provenance" / rule / f"{series_id[:2]}.jsonl", "rb") as stream:
            for line in stream:
                if b'"series_id":"%b"' % series_id.encode() in line:
                    found: dict[str, Any] = json.loads(line)
                    return found
    except (OSError, ValueError):
        pass
    return {}


def _volume(array: str, extracted: Mapping[str, Any]) -> dict[str, Any]:
    return next((volume for volume in extracted.get("volumes", ()) if volume["array"] == array), {})


# ---- which files


def _files(array: str, extracted: Mapping[str, Any]) -> dict[str, Any]:
    inputs = extracted.get("inputs", [])
    places = _volume(array, extracted).get("inputs")
    used = [inputs[place] for place in places] if places is not None else [row for row in inputs if not row[2]]
    return {
        "count": len(used),
        "digests": [digest for digest, *_ in used],
        "of_series": dict(sorted(Counter(outcome for _, outcome, _ in inputs).items())),
        "set_aside": _set_aside(inputs),
    }


def _set_aside(inputs: Sequence[Sequence[str]]) -> list[dict[str, Any]]:
    """Return the files of the series that are in no array, by reason, the most frequent first."""
    counts = Counter((outcome, reason) for _, outcome, reason in inputs if reason)
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [
        {"outcome": outcome, "reason": reason, "files": count, "meaning": _meaning(reason)}
        for (outcome, reason), count in ordered
    ]


def _meaning(reason: str) -> str:
    return REASONS[reason].meaning if reason in REASONS else ""


def _mask_files(dataset: Path, array: str, mask: str, extracted: Mapping[str, Any]) -> dict[str, Any]:
    """Return the segmentations or structure sets that masks of the series came from; one of them has this mask."""
    kind = row_of(dataset / "masks.csv", {"array": array, "mask": mask}).get("kind", "")
    of_kind = [row for row in extracted.get("mask_inputs", []) if row[1] == kind]
    used = [row for row in of_kind if row[3]]
    return {
        "count": len(used),
        "digests": [digest for digest, *_ in used],
        "of_series": {},
        "set_aside": _set_aside([[digest, "", reason] for digest, _, reason, _ in of_kind if reason]),
    }


def add_paths(found: Explanation, results: Results) -> None:
    """Add the paths of the files, from the private tables.

    Raises
    ------
    UserError
        If they are not there, or may not be read.
    """
    array, mask, files = found["array"], found["mask"], found["files"]
    series_id = array[:16]
    try:
        if not (results.private / "files.csv").is_file():
            raise UserError(f"--private: there is no private/ in {str(results.root)!r}; it stays where the run was")
        if mask:
            placed = rows(results.private / "mask_files.csv")
            kind = found["what"].get("kind", "")
            files["paths"] = sorted(
                {row["path"] for row in placed if row["series_id"] == series_id and row["kind"] == kind}
            )
            files["set_aside_paths"] = []
            return
        files["paths"] = list(
            dict.fromkeys(row["path"] for row in rows(results.private / "frames.csv") if row["array"] == array)
        )
        files["set_aside_paths"] = [
            {name: row[name] for name in ("path", "outcome", "reason")}
            for row in rows(results.private / "files.csv")
            if row["series_id"] == series_id and row["reason"]
        ]
    except PermissionError:
        raise UserError(
            f"--private: {str(results.private)!r} is not readable by this user; it belongs to who ran the workflow"
        ) from None


# ---- why grouped so


def _grouping(dataset: Path, row: Mapping[str, str], attributes: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: attributes[name] for name in _GROUPING if name in attributes}
    siblings = [
        {
            "array": other["array"],
            "why": other["why"],
            "differs": _differences(row, other, attributes, _attributes(dataset, other["array"])),
        }
        for other in rows(dataset / "volumes.csv")
        if other["series_id"] == row.get("series_id") and other["array"] != row.get("array")
    ]
    return {"kind": row.get("kind", ""), "why": row.get("why", ""), **found, "siblings": siblings}


def _differences(
    row: Mapping[str, str], other: Mapping[str, str], mine: Mapping[str, Any], theirs: Mapping[str, Any]
) -> dict[str, list[Any]]:
    """Return what differs between two arrays of a series: ``{name: [of this one, of the other]}``."""
    found: dict[str, list[Any]] = {name: [row.get(name, ""), other.get(name, "")] for name in _COMPARED}
    found["orientation_lps"] = [mine.get("orientation_lps"), theirs.get("orientation_lps")]
    facts = mine.get("acquisition", {}), theirs.get("acquisition", {})
    found |= {name: [facts[0].get(name), facts[1].get(name)] for name in sorted({*facts[0], *facts[1]})}
    return {name: pair for name, pair in found.items() if pair[0] != pair[1]}


# ---- decoded by what, checked how


def _decoding(array: str, attributes: Mapping[str, Any], extracted: Mapping[str, Any]) -> dict[str, Any]:
    syntaxes = attributes.get("transfer_syntax", [])
    return {
        "transfer_syntaxes": [{"uid": uid, "name": _name_of_syntax(uid)} for uid in syntaxes],
        "decoders": attributes.get("decoder", []),
        "lossy": attributes.get("lossy"),
        "photometric": attributes.get("photometric", ""),
        "photometric_source": attributes.get("photometric_source", ""),
        "bits_allocated": attributes.get("bits_allocated"),
        "bits_stored": attributes.get("bits_stored"),
        "cross_checks": _volume(array, extracted).get("cross_checks", {}),
        "cross_checked_share": extracted.get("params", {}).get("cross_check"),
    }


def _name_of_syntax(uid: str) -> str:
    return TRANSFER_SYNTAXES[uid].name if uid in TRANSFER_SYNTAXES else ""


def _checks(dataset: Path, array: str, mask: str) -> dict[str, Any]:
    masks = [
        {name: row[name] for name in ("mask", "kind", "read_back", "verdict", "flags")}
        for row in rows(dataset / "masks.csv")
        if row["array"] == array and (not mask or row["mask"] == mask)
    ]
    if mask:
        return {"depth": {}, "size": {}, "masks": masks}
    reports = dataset / "reports"
    return {
        "depth": row_of(reports / "depth.csv", {"array": array}),
        "size": row_of(reports / "size.csv", {"array": array}),
        "masks": masks,
    }


# ---- the chain of steps


def _chain(
    dataset: Path,
    array: str,
    mask: str,
    extracted: Mapping[str, Any],
    checked: Mapping[str, Any],
    sealed: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """Return the steps in their order: what each read and wrote, with digests."""
    volume = _volume(array, extracted)
    if mask:
        placed = (each for each in extracted.get("masks", ()) if (each["array"], each["mask"]) == (array, mask))
        volume = next(placed, {})
    links = []
    for rule in RULES:
        record = _json(dataset / "provenance" / f"{rule.name}.json")
        if rule.name == "extract_batch":
            record = _of_series(extracted, inputs=len(extracted.get("inputs", [])), outputs=volume.get("files", {}))
        elif rule.name == "check_batch":
            of_array: dict[str, str] = next((each for each in checked.get("arrays", ()) if each["array"] == array), {})
            verdicts = {name: value for name, value in of_array.items() if name != "array"}
            record = _of_series(checked, verdicts=verdicts)
        elif rule.name == "seal_dataset" and sealed:
            record = {"outputs": {name: sealed.get(name, "") for name in ("digest", "seal")}}
        if record:
            links.append(_link(rule.name, record))
    return links


def _of_series(line: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {"params": line["params"], **more} if line else {}


def _link(rule: str, record: Mapping[str, Any]) -> dict[str, Any]:
    step = STEPS[rule]
    inputs = record.get("inputs", {})
    return {
        "step": rule,
        "code": record.get("params", {}).get("code", ""),
        "reads": step.reads,
        "writes": step.writes,
        "inputs": inputs if isinstance(inputs, int) else len(inputs),
        "outputs": record.get("outputs", {}),
        "counts": record.get("counts", {}),
        "verdicts": record.get("verdicts", {}),
    }
