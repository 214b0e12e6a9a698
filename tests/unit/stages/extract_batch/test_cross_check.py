"""Cross-checks: series whose frames two decoders read alike or differently, or only one can read."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import pytest
from dicoms import ct_slice, save
from extracted_series import read_headers
from folders import files_of
from made_up_pixels import DICOM, encapsulate, picture
from reference_cases import rle

from dicomzarr.pixels import decoders
from dicomzarr.pixels.decoders import Decoder
from dicomzarr.privacy.pseudonyms import Pseudonyms
from dicomzarr.records.plan import SeriesPlan
from dicomzarr.records.series_record import SeriesRecord
from dicomzarr.stages.extract_batch.contents import SeriesContents
from dicomzarr.stages.extract_batch.extraction import Extraction
from dicomzarr.stages.extract_batch.options import Options
from dicomzarr.stages.extract_batch.series import extract
from dicomzarr.stages.extract_batch.series_files import Roots
from dicomzarr.system import thread_pool
from dicomzarr.system.thread_pool import ThreadPool
from dicomzarr.vocabulary.reasons import NotExtracted

OPTIONS: dict[str, Any] = {
    "compression": "balanced",
    "layout": "slice",
    "tolerance": 1e-3,
    "cross_check": 1.0,
    "burned_in": "keep",
    "software": ("a 1",),
    "code": "c",
}


def extracted(folder: Path, slices: int = 3, threads: int = 1, broken: int | None = None) -> SeriesRecord:
    """Extract a series of RLE slices, one of them broken."""
    folder.mkdir(exist_ok=True)
    for index in range(slices):
        image = ct_slice("rle", index, pixels=picture(16, signed=True))
        image.file_meta.TransferSyntaxUID = f"{DICOM}.5"
        stream = rle(picture(16, signed=True) // (index + 1))
        image.PixelData = encapsulate([stream[:70] if index == broken else stream])
        image["PixelData"].VR, image["PixelData"].is_undefined_length = "OB", True
        save(image, folder / f"{index}.dcm")
    rows, contents = read_headers(folder)
    plan = SeriesPlan("s", "t", "u", (), tuple(rows))
    roots = Roots({"": os.fsencode(folder)})
    options = Options(**OPTIONS)
    extraction = Extraction(plan, folder / "store", roots, Pseudonyms(b"k" * 32), options, ThreadPool(threads))
    return extract(extraction, SeriesContents(contents))


def test_agreeing_decoders_are_recorded(tmp_path: Path) -> None:
    record = extracted(tmp_path)
    (volume,) = record.volumes
    assert volume.cross_checks == {"agreed dicomzarr-rle": 3} and volume.flags == ()
    assert record.disagreement is None


def test_the_number_of_threads_does_not_change_the_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thread_pool, "MIN_PARALLEL_BYTES", 0)

    def result_of(threads: int) -> tuple[SeriesRecord, dict[str, bytes]]:
        folder = tmp_path / str(threads)
        record = extracted(folder, 20, threads, broken=13)
        files = tuple(file._replace(stat=(0, 0, 0, 0)) for file in record.files)
        record = dataclasses.replace(record, file_rows=files)
        return record, files_of(folder / "store")

    record, files = result_of(1)
    assert [file.reason for file in record.files].count("") == 19 and len(files) > 2
    assert result_of(4) == (record, files)


def test_disagreeing_decoders_quarantine_the_series_and_both_digests_are_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Decoder(lambda: "wrong", lambda data, request: decoders.RLE.decode(data, request) // 2, confined=False)
    monkeypatch.setattr(decoders, "RLE_OWN", other)
    record = extracted(tmp_path)
    assert record.volumes == ()
    assert {file.reason for file in record.files} == {"decoder_disagreement"}
    assert record.disagreement
    first, second = record.disagreement.digests
    assert first != second and len(first) == len(second) == 64
    assert record.disagreement.content in {file.content for file in record.files}


def test_a_second_decoder_that_cannot_read_the_frame_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(data: bytes, request: object) -> Any:
        raise NotExtracted("decode_error")

    monkeypatch.setattr(decoders, "RLE_OWN", Decoder(lambda: "picky", refuse))
    (volume,) = extracted(tmp_path).volumes
    assert volume.flags == ("not_cross_checked",)
    assert volume.cross_checks == {"refused picky": 3}
