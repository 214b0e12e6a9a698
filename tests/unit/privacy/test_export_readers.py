"""Exported files are split into voxels and all other bytes, which could hold a text."""

from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from dicomzarr.privacy import export_readers
from dicomzarr.stages.export import nifti, png

TEXT = b"Canary Wren Zyxwolf"
VOXELS = np.random.default_rng(5).integers(0, 60000, (40, 50), np.uint16)


def parts(name: str, path: Path, with_voxels: bool) -> tuple[bytes, bytes]:
    read = export_readers.reader_of(f"results/exports/{name}")
    assert read is not None
    pieces = list(read(path, with_voxels))
    return tuple(b"".join(piece.data for piece in pieces if piece.voxels is voxels) for voxels in (False, True))  # type: ignore[return-value]


@pytest.mark.parametrize("name", sorted(export_readers.planted(TEXT)))
def test_a_text_is_found_in_every_place_of_an_exported_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(export_readers.planted(TEXT)[name])
    other, voxels = parts(name, path, False)
    assert TEXT in other
    assert not voxels


def test_only_files_of_exports_are_split() -> None:
    assert export_readers.reader_of("results/logs/a.png") is None
    assert export_readers.reader_of("results/exports/png/a/files.csv") is None
    assert export_readers.reader_of("results/exports/nifti/a/b.json") is None


def test_the_voxels_of_a_png_are_its_samples(tmp_path: Path) -> None:
    png.write_png(tmp_path / "a.png", VOXELS, 1)
    other, voxels = parts("a.png", tmp_path / "a.png", True)
    assert voxels == VOXELS.tobytes() and len(other) < 40
    assert parts("a.png", tmp_path / "a.png", False) == (other, b"")


def test_the_voxels_of_an_archive_are_its_volumes(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "a.npz",
        **{"0a1b2c3d": VOXELS, "0a1b2c3d_attributes": np.array("Zyxwolf"), "ffffffff": "Wren", "20031117x": b"Siskin"},
    )
    other, voxels = parts("a.npz", tmp_path / "a.npz", True)
    assert voxels == VOXELS.tobytes() and all(text in other for text in (b"Zyxwolf", b"Wren", b"Siskin"))
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        assert len(archive.namelist()) == 4 and other.count(b"20031117x.npy") == 2  # names, but for ids of volumes
    assert b"0a1b2c3d" not in other and other.count(b"_attributes.npy") == 2


@pytest.mark.parametrize("blocks", [1, 3])
def test_the_voxels_of_a_nifti_end_where_its_header_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, blocks: int
) -> None:
    import nibabel

    monkeypatch.setattr(export_readers, "_BLOCK", VOXELS.nbytes * 8 // blocks)
    header = nibabel.Nifti1Header(endianness="<")
    header.set_data_dtype(np.uint16)
    header.set_data_shape((50, 40))
    header["vox_offset"] = nifti.VOX_OFFSET
    stream = io.BytesIO()
    header.write_to(stream)
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(stream.getvalue() + VOXELS.tobytes() + TEXT, mtime=0) + b"more")
    other, voxels = parts("a.nii.gz", tmp_path / "a.nii.gz", True)
    assert voxels == VOXELS.tobytes() and other == stream.getvalue() + TEXT + b"more"


@pytest.mark.parametrize("name", ["a.png", "a.npz", "a.nii.gz"])
def test_an_invalid_file_is_searched_as_a_whole(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"no such file: " + TEXT)
    assert TEXT in parts(name, tmp_path / name, False)[0]
