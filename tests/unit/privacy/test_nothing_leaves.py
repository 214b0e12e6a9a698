"""Extraction of a small source full of canaries: no file outside private/ and no message holds one."""

from __future__ import annotations

import hashlib
import logging
import os
import stat
from dataclasses import dataclass
from pathlib import Path

import pytest
from blake3 import blake3
from canaries import WORD, leaks, pattern
from good_traps import good_files
from made_up_headers import Element, text
from made_up_pixels import encapsulate
from traps import ATTRIBUTE, FINE, STREAM, Traps

from dicomzarr.privacy.pseudonyms import Pseudonyms
from dicomzarr.source import inventory, listing
from dicomzarr.stages.extract_batch import batch
from dicomzarr.stages.extract_batch.options import Options
from dicomzarr.stages.index_headers import index
from dicomzarr.stages.plan_batches import batches
from dicomzarr.system import safe_messages, sandbox
from dicomzarr.system.results_folder import Results
from dicomzarr.workflow.settings import Settings

OPTIONS = Options("balanced", "slice", 1e-3, 1.0, "keep", ("a 1",), "c")


@dataclass
class Extraction:
    traps: Traps
    results: Results
    messages: str


def sources_of(source: Path) -> Settings:
    return Settings(**dict.fromkeys(Settings.__slots__) | {"sources": {"": bytes(source)}, "follow_links": False})


@pytest.fixture(scope="module")
def extraction(tmp_path_factory: pytest.TempPathFactory) -> Extraction:
    """Index, plan and extract good files, broken ones, and values that are in no vocabulary."""
    folder = tmp_path_factory.mktemp("core")
    traps = Traps(folder / "source")
    good_files(traps)
    for name, tag in (("Modality", 0x00080060), ("PhotometricInterpretation", 0x00280004)):
        changes: dict[str, Element | None] = {name: text(tag, "CS", traps.word(name).upper())}
        traps.bad(name, ATTRIBUTE | FINE, **changes)
    traps.bad("unit", FINE, DoseUnits=text(0x30040002, "CS", traps.word("unit").upper()))
    traps.compressed(f"broken {WORD}", encapsulate([WORD.encode() * 9]), STREAM)
    results = Results(folder / "results")
    settings = sources_of(traps.source)
    before = os.umask(0)
    try:
        inventory.write(settings.sources, listing.list_sources(settings.sources), results.inventory)
        headers = results.private / "headers.jsonl"
        index.index_headers(results.inventory, headers, results.private / "cache", 1)
        contents = results.plans / "contents.json"
        ids = Pseudonyms(b"k" * 32)
        batches.plan_batches(results, headers, contents, ids, series_each=1000, bytes_each=1 << 40)
        messages: list[logging.LogRecord] = []
        handler = logging.Handler()
        handler.emit = messages.append  # type: ignore[method-assign]
        batch.log.addHandler(handler)
        level = batch.log.level
        batch.log.setLevel(logging.INFO)  # the attribute alone would leave the level that the logger caches
        for plan in results.plans.glob("*-*.json"):
            batch.extract_batch(plan, results.inventory, results, ids, OPTIONS)
        batch.log.removeHandler(handler)
        batch.log.setLevel(level)
    finally:
        os.umask(before)
        sandbox.end()
    return Extraction(traps, results, "\n".join(record.getMessage() for record in messages))


def test_arrays_hold_no_canary_and_no_plain_digest(extraction: Extraction) -> None:
    assert len(list(extraction.results.images.glob("*/*/zarr.json"))) >= len(extraction.traps.voxels)
    contents = [(extraction.traps.source / path).read_bytes() for path in extraction.traps.voxels]
    digests = [hashlib.new(kind, content).hexdigest() for content in contents for kind in ("md5", "sha1", "sha256")]
    digests += [blake3(content).hexdigest() for content in contents]
    assert not leaks([extraction.results.root], extraction.results.private, tuple(digests))


def test_messages_hold_no_canary(extraction: Extraction) -> None:
    assert extraction.messages.count("extracted") > 30 and "decode_error" not in extraction.messages
    assert not pattern().search(extraction.messages.encode())


def test_private_is_the_owners_whatever_the_umask(extraction: Extraction) -> None:
    below = [extraction.results.private, *extraction.results.private.rglob("*")]
    assert len(below) > 50
    assert {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in below} == {0}


def test_an_error_is_reported_without_its_text() -> None:
    try:
        raise ValueError(WORD)
    except ValueError as error:
        assert safe_messages.error_location(error) == "ValueError at an unknown place"
    assert WORD not in safe_messages.os_error_message(OSError(2, "No such file", WORD))


def test_an_error_of_the_disk_names_no_path() -> None:
    with pytest.raises(OSError) as caught:
        open(f"/nowhere/{WORD}")  # noqa: SIM115
    assert safe_messages.os_error_message(caught.value) == "the operating system says: No such file or directory"
