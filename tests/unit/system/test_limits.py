"""Under other limits only files that the old limits refused are tried again."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from dicoms import ct_slice, save, save_series

from dicomzarr.privacy.pseudonyms import Pseudonyms
from dicomzarr.records.series_record import SeriesRecord
from dicomzarr.source import listing
from dicomzarr.stages.extract_batch import batch
from dicomzarr.stages.extract_batch.options import Options
from dicomzarr.stages.index_headers import index
from dicomzarr.stages.plan_batches import batches
from dicomzarr.system import files, json_files, limits, sandbox
from dicomzarr.system.limits import Limits
from dicomzarr.system.path_text import encode_path
from dicomzarr.system.results_folder import Results

IDS = Pseudonyms(b"k" * 32)


@pytest.fixture
def results(tmp_path: Path) -> Iterator[Results]:
    """Two series: one of small slices, one of a slice of 32 MB."""
    before = limits.current()
    save_series(tmp_path / "source", "small", 2)
    save(ct_slice("large", 0, pixels=np.zeros((4096, 4096))), tmp_path / "source" / "large.dcm")
    results = Results(tmp_path / "results")
    files.make_private(results.private)
    root = os.fsencode(tmp_path / "source")
    rows = sorted(listing.entries(root), key=lambda row: row[0])
    lines = [{"roots": {"": encode_path(root)}}, *rows]
    results.inventory.write_bytes(b"".join(map(json_files.canonical_json, lines)))
    yield results
    sandbox.end()
    limits.use(before)


def run(results: Results, **budget: int) -> tuple[int, dict[str, str]]:
    """Index and extract under limits; return how many series were extracted, and the reasons by path."""
    limits.use(Limits(**budget))
    headers, contents = results.private / "headers.jsonl", results.plans / "contents.json"
    index.index_headers(results.inventory, headers, results.private / "cache", 1)
    batches.plan_batches(results, headers, contents, IDS, series_each=10, bytes_each=1 << 40)
    (plan,) = results.plans.glob("*-*.json")
    options = Options("balanced", "slice", 1e-3, 0.0, "keep", ("a 1",), "c")
    record = batch.extract_batch(plan, results.inventory, results, IDS, options)
    records = [SeriesRecord.load(results.series_record("extract_batch", series)) for series in record.series]
    return record.counts["extracted"], {file.path: file.reason for record in records for file in record.files}


def test_other_limits_retry_only_refused_files(results: Results) -> None:
    extracted, reasons = run(results, megabytes=64)
    assert extracted == 2 and reasons.pop("large.dcm") == "too_large" and set(reasons.values()) == {""}
    assert run(results, megabytes=64)[0] == 0
    assert run(results, megabytes=80)[0] == 1  # tried again, without success
    extracted, reasons = run(results, megabytes=256)
    assert extracted == 1 and set(reasons.values()) == {""}
    assert run(results, megabytes=64)[0] == 0  # complete series stay


def test_more_frames_than_fit_into_memory_are_refused(results: Results, tmp_path: Path) -> None:
    assert Limits().frames > 300_000
    geometry = {"ImagePositionPatient": None, "ImageOrientationPatient": None, "NumberOfFrames": 40_000}
    image = ct_slice("many", 0, pixels=np.zeros((1, 1)), **geometry)
    image.PixelData = bytes(80_000)
    path = save(image, tmp_path / "source" / "many.dcm")
    status = path.stat()
    row = ["many.dcm", "file", status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
    results.inventory.write_bytes(results.inventory.read_bytes() + json_files.canonical_json(row))
    assert run(results, megabytes=64)[1]["many.dcm"] == "too_large"


def test_a_budget_ends_with_its_block() -> None:
    before = resource.getrlimit(resource.RLIMIT_CPU)
    with Limits(seconds=7, megabytes=64).budget():
        assert resource.getrlimit(resource.RLIMIT_CPU)[0] != before[0]
    assert resource.getrlimit(resource.RLIMIT_CPU) == before
