"""A new series is read once: the bytes of its digests are those of its frames, and the result is that of two passes."""

from __future__ import annotations

import errno
import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from blake3 import blake3
from dicoms import ct_slice, save, save_series
from made_up_pixels import DICOM, encapsulate
from pydicom.uid import DeflatedExplicitVRLittleEndian
from reference_cases import rle

from dicomzarr.pixels.byte_source import BlockSource
from dicomzarr.privacy.pseudonyms import Pseudonyms
from dicomzarr.records.series_record import SeriesRecord
from dicomzarr.source import inventory, listing
from dicomzarr.source.open_file import LocalFile, stat_key
from dicomzarr.source.opener import Opener
from dicomzarr.stages.extract_batch import batch, series_files
from dicomzarr.stages.extract_batch.options import Options
from dicomzarr.stages.index_headers.index import index_headers
from dicomzarr.stages.plan_batches import batches
from dicomzarr.system import files, sandbox, thread_pool
from dicomzarr.system.results_folder import Results
from dicomzarr.vocabulary.errors import SourceChanged

IDS = Pseudonyms(b"k" * 32)
OPTIONS = Options("balanced", "slice", 1e-3, 1.0, "keep", ("a 1",), "c")


def plan(source: Path, results: Results) -> Path:
    sources, headers = {"": os.fsencode(source)}, results.private / "headers.jsonl"
    files.make_private(results.private)
    inventory.write(sources, listing.list_sources(sources), results.inventory)
    index_headers(results.inventory, headers, results.private / "cache", 1)
    batches.plan_batches(results, headers, results.plans / "contents.json", IDS, series_each=99, bytes_each=1 << 40)
    (path,) = results.plans.glob("*-*.json")
    return path


def run(source: Path, results: Results, options: Options = OPTIONS, threads: int = 1) -> dict[str, bytes]:
    """Extract and return what was written: arrays and records, by path."""
    path = plan(source, results)
    batch.extract_batch(path, results.inventory, results, IDS, options, threads=threads)
    return {
        str(file.relative_to(results.root)): file.read_bytes()
        for folder in (results.images, results.records)
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def records(results: Results) -> list[SeriesRecord]:
    return [SeriesRecord.load(path) for path in sorted(results.records.glob("extract_batch/*/*.json"))]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each file of the source was opened."""
    count: Counter[str] = Counter()
    whole = Opener.open

    def counted(self: Opener, path: str, *arguments: Any) -> Any:
        count[path] += 1
        return whole(self, path, *arguments)

    monkeypatch.setattr(Opener, "open", counted)
    return count


def in_two_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "extract_in_one_pass", lambda *_: None)


def compressed(series: str, index: int) -> Any:
    image = ct_slice(series, index)
    plane = image.pixel_array
    image.file_meta.TransferSyntaxUID = f"{DICOM}.5"
    image.PixelData = encapsulate([rle(np.asarray(plane))])
    image["PixelData"].is_undefined_length = True
    return image


def sources(folder: Path) -> Path:
    """Series in whose names, contents and places the files have different orders."""
    for index in range(5):
        save(ct_slice("stack", index), folder / f"{(index * 3) % 5}.dcm")
        echo = ct_slice("echoes", index // 2)
        echo.Modality, echo.EchoTime, echo.InstanceNumber = "MR", 10 * (1 + index % 2), index
        save(echo, folder / "echoes" / f"{9 - index}")
        unplaced = ct_slice("unplaced", index)
        del unplaced.ImagePositionPatient
        save(unplaced, folder / "unplaced" / f"{index}")
    return folder


@pytest.mark.parametrize("threads", [1, 3])
def test_one_pass_writes_the_bytes_and_the_records_of_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opened: Counter[str], threads: int
) -> None:
    source = sources(tmp_path / "source")
    once = run(source, Results(tmp_path / "once"), threads=threads)
    assert set(opened.values()) == {1} and len(opened) == 15
    in_two_passes(monkeypatch)
    assert run(source, Results(tmp_path / "twice"), threads=threads) == once
    assert len(records(Results(tmp_path / "once"))) == 3


def test_compressed_frames_are_sampled_by_the_content_that_was_just_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opened: Counter[str]
) -> None:
    for index in range(12):
        save(compressed("packed", index), tmp_path / "source" / f"{index}.dcm")
    options = Options("balanced", "slice", 1e-3, 0.5, "keep", ("a 1",), "c")
    once = run(tmp_path / "source", Results(tmp_path / "once"), options)
    assert set(opened.values()) == {1}
    in_two_passes(monkeypatch)
    assert run(tmp_path / "source", Results(tmp_path / "twice"), options) == once


def test_series_without_frames_in_the_dataset_have_digests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for index in range(60):
        head = ct_slice("head", index)
        head.BodyPartExamined = "HEAD"
        save(head, tmp_path / "source" / f"{index}.dcm")
    options = Options("balanced", "slice", 1e-3, 0.0, "keep", ("a 1",), "c", faces="skip")
    once = run(tmp_path / "source", Results(tmp_path / "once"), options)
    (record,) = records(Results(tmp_path / "once"))
    assert {file.reason for file in record.files} == {"face_risk"} and all(len(f.content) == 64 for f in record.files)
    in_two_passes(monkeypatch)
    assert run(tmp_path / "source", Results(tmp_path / "twice"), options) == once


@pytest.mark.parametrize("case", ["same uid", "no uid", "copy", "damaged", "decision"])
def test_where_contents_decide_they_are_read_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    images = [ct_slice("s", index) for index in range(4)]
    options = OPTIONS
    if case == "same uid":
        images[3].SOPInstanceUID = images[0].SOPInstanceUID
        images[3].file_meta.MediaStorageSOPInstanceUID = images[0].SOPInstanceUID
    elif case == "no uid":
        for image in images:
            del image.SOPInstanceUID
    elif case == "copy":
        images[3].ImagePositionPatient, images[3].PixelData = images[0].ImagePositionPatient, images[0].PixelData
    elif case == "decision":
        options = Options("balanced", "slice", 1e-3, 0.0, "keep", ("a 1",), "c", decisions=(("0" * 64, "set_aside"),))
    for number, image in enumerate(images):
        path = save(image, tmp_path / "source" / f"{number}.dcm")
        if case == "damaged" and number == 2:
            path.write_bytes(path.read_bytes()[:-100])
    once = run(tmp_path / "source", Results(tmp_path / "once"), options)
    in_two_passes(monkeypatch)
    assert run(tmp_path / "source", Results(tmp_path / "twice"), options) == once


def changing(monkeypatch: pytest.MonkeyPatch, path: Path) -> list[bytes]:
    """Let each read of a file's last bytes give other bytes, as if it was changed without a trace; return them."""
    whole, inode, given = LocalFile.read, path.stat().st_ino, list[bytes]()

    def read(self: LocalFile, length: int, offset: int) -> bytes:
        data = whole(self, length, offset)
        if os.fstat(self.descriptor()).st_ino != inode or len(data) < 3:
            return data
        given.append(data[:-1] + bytes([len(given) % 256]))
        return given[-1]

    monkeypatch.setattr(LocalFile, "read", read)
    return given


def test_the_digest_is_that_of_the_bytes_of_the_frame_whatever_the_file_becomes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_series(tmp_path / "source", "alpha", 3)
    results = Results(tmp_path / "results")
    path = plan(tmp_path / "source", results)
    changed = sorted((tmp_path / "source").rglob("*.dcm"))[1]
    given = changing(monkeypatch, changed)
    batch.extract_batch(path, results.inventory, results, IDS, OPTIONS)
    (record,) = records(results)
    (content,) = {file.content for file in record.files if file.path.endswith(changed.name)}
    assert [blake3(data).hexdigest() for data in given] == [content]
    (source,) = (number for number, file in enumerate(record.files) if file.content == content)
    (row,) = (row for row in record.volumes[0].frames if row.source == source)
    size = 2 * ct_slice("alpha", 0).Rows * ct_slice("alpha", 0).Columns
    assert row.digest == blake3(given[0][-size:]).hexdigest()


def test_bytes_that_are_not_those_of_the_digest_are_a_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_series(tmp_path / "source", "alpha", 3)
    results = Results(tmp_path / "results")
    path = plan(tmp_path / "source", results)
    in_two_passes(monkeypatch)
    monkeypatch.setattr(series_files, "_SMALL", 0)  # nothing is held in memory
    changing(monkeypatch, sorted((tmp_path / "source").rglob("*.dcm"))[1])
    with pytest.raises(SourceChanged):
        batch.extract_batch(path, results.inventory, results, IDS, OPTIONS)
    assert not records(results)


def test_other_bytes_under_the_recorded_stat_are_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_series(tmp_path / "source", "alpha", 3)
    results = Results(tmp_path / "results")
    run(tmp_path / "source", results)
    path = sorted((tmp_path / "source").rglob("*.dcm"))[1]
    whole, data, inode = LocalFile.read, path.read_bytes()[:-1] + b"\x07", path.stat().st_ino

    def read(self: LocalFile, length: int, offset: int) -> bytes:
        is_changed = os.fstat(self.descriptor()).st_ino == inode
        return data[offset : offset + length] if is_changed else whole(self, length, offset)

    monkeypatch.setattr(LocalFile, "read", read)
    other = Options("fast", "slice", 1e-3, 1.0, "keep", ("a 1",), "c")  # so that the frames are read again
    run(tmp_path / "source", results, other)
    (record,) = records(results)
    assert blake3(data).hexdigest() in {file.content for file in record.files}


def test_a_file_that_cannot_be_read_has_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_series(tmp_path / "source", "alpha", 3)
    results = Results(tmp_path / "results")
    path = plan(tmp_path / "source", results)
    inode, whole = sorted((tmp_path / "source").rglob("*.dcm"))[1].stat().st_ino, LocalFile.read

    def read(self: LocalFile, length: int, offset: int) -> bytes:
        if os.fstat(self.descriptor()).st_ino == inode:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return whole(self, length, offset)

    monkeypatch.setattr(LocalFile, "read", read)
    sandbox.end()
    batch.extract_batch(path, results.inventory, results, IDS, OPTIONS)
    (record,) = records(results)
    assert Counter(file.reason for file in record.files) == {"": 2, "unreadable_file": 1}


def test_deflated_files_are_read_twice_with_the_same_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opened: Counter[str]
) -> None:
    for index in range(2):
        image = ct_slice("alpha", index)
        image.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
        save(image, tmp_path / "source" / f"{index}.dcm")
    once = run(tmp_path / "source", Results(tmp_path / "once"))
    assert set(opened.values()) == {2}
    in_two_passes(monkeypatch)
    assert run(tmp_path / "source", Results(tmp_path / "twice")) == once


def long_file(path: Path, frames: int = 40) -> Path:
    """Write one file of several frames, longer than two blocks."""
    pixels = np.arange(frames * 64 * 64, dtype="<i4").astype("<i2").reshape(frames, 64, 64)
    image = ct_slice("long", 0, pixels=pixels[0], NumberOfFrames=frames)
    image.PixelData = pixels.tobytes()
    return save(image, path)


def test_a_long_file_whose_bytes_change_between_two_reads_is_a_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = long_file(tmp_path / "source" / "long.dcm")
    results = Results(tmp_path / "results")
    planned = plan(tmp_path / "source", results)
    monkeypatch.setattr(series_files, "_SMALL", 0)  # nothing is held in memory
    monkeypatch.setattr(series_files, "opened", unnoticed(path))
    with pytest.raises(SourceChanged):
        batch.extract_batch(planned, results.inventory, results, IDS, OPTIONS)
    assert not records(results)


def unnoticed(path: Path) -> Any:
    """Let a file be changed before each opening but the first, under the same stat."""
    times = []

    class Opened(series_files.opened):
        def __enter__(self) -> Any:
            with open(path, "r+b") as stream:
                stream.seek(-3, os.SEEK_END)
                stream.write(bytes([len(times)]))
            status = self._row["stat"]
            os.utime(path, ns=(status[1], status[1]))
            times.append(1)
            self._row["stat"] = list(stat_key(path.stat()))  # type: ignore[typeddict-item]
            return super().__enter__()

    return Opened


def test_a_long_file_is_extracted_by_blocks_with_the_result_of_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long_file(tmp_path / "source" / "long.dcm")
    held = run(tmp_path / "source", Results(tmp_path / "held"))
    monkeypatch.setattr(series_files, "_SMALL", 0)
    made: list[int] = []
    whole = BlockSource.__init__
    monkeypatch.setattr(BlockSource, "__init__", lambda *a: made.append(1) or whole(*a))
    for threads in (1, 3):
        monkeypatch.setattr(thread_pool, "MIN_PARALLEL_BYTES", 1)
        assert run(tmp_path / "source", Results(tmp_path / str(threads)), threads=threads) == held and made
