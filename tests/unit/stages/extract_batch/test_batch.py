"""A batch publishes its series only while its run is the current one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from dicoms import save_series

from dicomzarr.privacy.pseudonyms import Pseudonyms
from dicomzarr.source import listing
from dicomzarr.stages.extract_batch import batch
from dicomzarr.stages.index_headers import index
from dicomzarr.stages.plan_batches import batches
from dicomzarr.system import files, json_files, run_token, sandbox
from dicomzarr.system.path_text import encode_path
from dicomzarr.system.results_folder import Results
from dicomzarr.volumes.model import Options

OPTIONS = Options("balanced", "slice", 1e-3, 0.0, "keep", ("a 1",), "c")


def test_a_job_at_work_publishes_nothing_once_another_run_began(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_series(tmp_path / "source", "alpha", 3)
    results, ids = Results(tmp_path / "results"), Pseudonyms(b"k" * 32)
    files.make_private(results.private)
    root = os.fsencode(tmp_path / "source")
    lines = [{"roots": {"": encode_path(root)}}, *sorted(listing.entries(root), key=lambda row: row[0])]
    results.inventory.write_bytes(b"".join(map(json_files.canonical_json, lines)))
    headers, contents = results.private / "headers.jsonl", results.plans / "contents.json"
    index.index_headers(results.inventory, headers, results.private / "cache", 1)
    batches.plan_batches(results, headers, contents, ids, series_each=10, bytes_each=1 << 40)
    (plan,) = results.plans.glob("*-*.json")
    monkeypatch.setenv(run_token.VARIABLE, "this run")
    (results.private / run_token.FILE).write_text('{"token": "a newer run"}')
    try:
        with pytest.raises(run_token.Superseded):
            batch.extract_batch(plan, results.inventory, results, ids, OPTIONS)
        assert list(results.images.iterdir()) == []
        assert not (results.records / "extract_batch").exists() or not any(
            (results.records / "extract_batch").rglob("*.json")
        )
        (results.private / run_token.FILE).write_text('{"token": "this run"}')
        done = batch.extract_batch(plan, results.inventory, results, ids, OPTIONS)
        assert done.counts["extracted"] == 1 and len(list(results.images.iterdir())) == 1
    finally:
        sandbox.end()
