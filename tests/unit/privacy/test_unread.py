"""Files of other programs: what the search by a list reads of them, and that it says what it does not read."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
import zstandard

from dicomzarr.commands.audit import command as audit
from dicomzarr.privacy import compressed, needles

NAME = "Quastenflosser Ottilie"
Searched: TypeAlias = Callable[..., tuple[int, list[str]]]
TEXT = f"seen by {NAME}\n".encode()
NOISE = np.random.default_rng(3).bytes(300)


def zipped(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return stream.getvalue()


def tarred(name: str, content: bytes) -> bytes:
    stream, member = io.BytesIO(), tarfile.TarInfo(name)
    member.size = len(content)
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("empty"))
        archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def encrypted(archive: bytes) -> bytes:
    """Return an archive whose first member claims to be encrypted."""
    return archive[:6] + b"\1" + archive[7:]


def damaged(archive: bytes) -> bytes:
    """Return an archive whose first member, of a short name, cannot be inflated."""
    return archive[:31] + b"\xff" * 8 + archive[39:]


def npz(save: Callable[..., Any]) -> bytes:
    stream = io.BytesIO()
    save(stream, image=np.arange(9), names=np.array([NAME]))
    return stream.getvalue()


def document() -> bytes:
    """Return a Word document as Word writes it: with tags within a word."""
    runs = "<w:r><w:t>Quasten</w:t></w:r><w:r><w:rPr/><w:t>flosser</w:t></w:r></w:p><w:p><w:r><w:t>Ottilie</w:t></w:r>"
    return zipped(("word/document.xml", f'<?xml version="1.0"?><w:p>{runs}</w:p>'.encode()))


@pytest.fixture
def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Searched:
    names = tmp_path / "names.txt"
    names.write_text(NAME)
    monkeypatch.setattr(compressed, "MAX_INFLATED", 1 << 16)
    monkeypatch.setattr(compressed, "MAX_TOTAL", 1 << 18)
    search = needles.NeedleSearch(needles.read_needles(names), frozenset(), with_voxels=True)

    def found(data: bytes, name: str = "a.bin") -> tuple[int, list[str]]:
        folder = tmp_path / "folder"
        folder.mkdir(exist_ok=True)
        for left in folder.iterdir():
            left.unlink()
        (folder / name).write_bytes(data)
        result = search.run(folder)
        assert not result.unread
        return len(result.hits), [reason for _, reason in result.in_part]

    return found


LONG = bytes(100_000) + TEXT  # more than is searched at once
READ = {
    "member of a zip after many": zipped(*((f"{number:03}", NOISE) for number in range(100)), ("z", TEXT)),
    "member after a damaged one": damaged(zipped(("a", b"etaoin" * 99), ("z", TEXT * 3))),
    "zip without its end": zipped(("a", TEXT * 30))[:-30],
    "zip within a tar": tarred("a.zip", zipped(("a", TEXT * 30))) + bytes(100_000),
    "lzma in a zip": zipped(("a", TEXT), method=zipfile.ZIP_LZMA),
    "bzip2 in a zip": zipped(("a", TEXT), method=zipfile.ZIP_BZIP2),
    "many gzip in a row": b"".join(gzip.compress(NOISE) for _ in range(100)) + gzip.compress(TEXT),
    "long gzip": gzip.compress(LONG),
    "long zlib": b"\0\1" + zlib.compress(LONG),
    "long bzip2": bz2.compress(LONG),
    "long xz": lzma.compress(LONG),
    "long zstd": zstandard.compress(LONG),
    "NPZ": npz(np.savez),
    "compressed NPZ": npz(np.savez_compressed),
    "UTF-32": TEXT.decode().encode("utf-32"),
    "Word": document(),
}
LEFT_OUT = {
    "archive": b"7z\xbc\xaf\x27\x1c" + bytes(99),
    "encrypted": encrypted(zipped(("a", TEXT * 9))),
    "damaged": gzip.compress(NOISE * 9)[:-9],
    "too_long": gzip.compress(np.random.default_rng(9).integers(0, 16, 400_000, np.uint8).tobytes() + TEXT),
    "too_deep": zipped(("a", zipped(("b", zipped(("c", zipped(("d", TEXT * 9)))))))),
    "pdf": zipped(("a.pdf", b"%PDF-1.7 57 6F 6C 66")),
    "hdf5": tarred("a.h5", b"\x89HDF\r\n\x1a\n" + bytes(99)),
    "columns": b"PAR1" + bytes(99),
    "deflated_dicom": bytes(128) + b"DICM" + bytes(12) + b"1.2.840.10008.1.2.1.99" + zlib.compress(TEXT)[2:],
}


@pytest.mark.parametrize("kind", READ)
def test_a_name_is_found_in_files_of_other_programs(kind: str, found: Searched) -> None:
    count, reasons = found(READ[kind])
    assert count == 1 and set(reasons) <= ({"damaged"} if "damaged" in kind or "without" in kind else set())


@pytest.mark.parametrize("reason", LEFT_OUT)
def test_what_is_not_read_is_said(reason: str, found: Searched) -> None:
    assert found(LEFT_OUT[reason]) == (0, [reason])


def test_what_looks_compressed_by_chance_is_no_damage(found: Searched) -> None:
    noise = np.random.default_rng(5).bytes(1 << 18)
    assert b"\x78\x01" in noise and found(b"\0" + noise) == (0, [])
    for text in (b"ORCHARD, MSCF, LZIP", b"no PK\x03\x04 archive"):
        assert found(text) == (0, [])


def test_pictures_of_other_programs_are_no_damage(found: Searched) -> None:
    import imagecodecs

    pixels = np.random.default_rng(7).integers(0, 255, (300, 300), np.uint8)
    whole = bytes(imagecodecs.png_encode(pixels))
    assert found(whole, "A.PNG") == (0, [])


def test_the_exit_code_says_that_the_search_is_incomplete(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "names.txt").write_text(NAME)
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "a.pdf").write_bytes(b"%PDF-1.7")
    call = ["--needles", str(tmp_path / "names.txt"), "--dataset", str(tmp_path / "copy")]
    assert audit.run_audit(call) == 2
    assert "read in part: a.pdf: PDF: " in capsys.readouterr().out
    assert audit.run_audit([*call, "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["in_part"] == [{"place": "a.pdf", "reason": "pdf"}]
    (tmp_path / "copy" / "note.txt").write_bytes(TEXT)
    assert audit.run_audit(call) == 1


def test_exports_are_no_damage(tmp_path: Path) -> None:
    """Each member of an NPZ is read by itself: its header, without its content, is no member that was cut."""
    (tmp_path / "names.txt").write_text(NAME)
    folder = tmp_path / "results/exports/npz"
    folder.mkdir(parents=True)
    for number, save in enumerate((np.savez, np.savez_compressed)):
        save(folder / f"{number:016x}.npz", **{"0a1b2c3d": np.arange(999), "0a1b2c3d_attributes": np.array("{}")})
    search = needles.NeedleSearch(needles.read_needles(tmp_path / "names.txt"), frozenset(), with_voxels=True)
    assert search.run(tmp_path / "results").in_part == ()
    (folder / "0000000000000000.npz").write_bytes(npz(np.savez))
    assert len(search.run(tmp_path / "results").hits) == 1
