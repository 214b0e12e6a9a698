"""Seal a made-up dataset in a results folder, by digests of its own, as far as publishing and verifying need it."""

from __future__ import annotations

import hashlib
import json

from dicomzarr.records.record_file import FileClaim
from dicomzarr.records.rule_record import RuleRecord
from dicomzarr.system.results_folder import Results

WITHOUT = ("dataset.json", "dataset.json.sig", "checksums")


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def seal(results: Results) -> str:
    """Write `checksums`, `dataset.json` and its record; return the seal."""
    dataset = results.dataset
    contents = {str(p.relative_to(dataset)): p.read_bytes() for p in sorted(dataset.rglob("*")) if p.is_file()}
    contents = {path: data for path, data in sorted(contents.items()) if path not in WITHOUT}
    checksums = "".join(f"{path}\0{len(data)}\0{sha256(data)}\n" for path, data in contents.items()).encode()
    (dataset / "checksums").write_bytes(checksums)

    def digest(digests: dict[str, str]) -> str:
        return sha256("".join(f"{path}\0{of_path}\n" for path, of_path in sorted(digests.items())).encode())

    every = {path: sha256(content) for path, content in contents.items()}
    data = {path: of_path for path, of_path in every.items() if path != "reports/report.html"}
    sealed = {"digest": digest(data), "seal": digest(every | {"checksums": sha256(checksums)}), "counts": {}}
    results.sealed.write_text(json.dumps(sealed))
    content = results.sealed.read_bytes()
    record = RuleRecord(rule="seal_dataset", claims={"dataset/dataset.json": FileClaim(len(content), sha256(content))})
    results.records.mkdir(parents=True, exist_ok=True)
    (results.records / "seal_dataset.json").write_bytes(record.to_bytes().data)
    results.inventory.write_text(json.dumps({"roots": {"": "/nowhere/source"}}) + "\n")
    return str(sealed["seal"])
