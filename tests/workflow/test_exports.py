"""Exports: exact by independent readers, incremental, complete after a kill, and searched for identifiers."""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import imagecodecs
import nibabel
import numpy as np
import pytest
import SimpleITK
import zarr
from conftest import Launch, Run, Workflow, in_ci
from dicoms import ct_slice, save
from folders import files_of
from forks import Forks
from PIL import Image
from revocations import revoked
from waiting import wait_until

TARGETS = ("export_png", "export_npz", "export_nifti", "export_preview")
FOLDERS = ("png", "npz", "nifti", "preview_lossy")
OBLIQUE = [0.8, 0.6, 0.0, 0.0, 0.0, -1.0]
NORMAL = np.cross(OBLIQUE[:3], OBLIQUE[3:])


def noise(name: str, index: int, low: int, high: int, dtype: str, shape: tuple[int, ...] = (20, 12)) -> np.ndarray:
    pixels = np.random.default_rng([index, *name.encode()]).integers(low, high, shape, dtype, endpoint=True)
    pixels.flat[:2] = low, high
    return pixels


def add(source: Path, name: str, pixels: list[np.ndarray], bits: int, **attributes: Any) -> None:
    """Write a series with the data type of its pixels; slices are 2.5 mm apart along z unless attributes place them."""
    for index, frame in enumerate(pixels):
        colour = frame.ndim == 3
        header = {
            "BitsAllocated": 8 * frame.dtype.itemsize,
            "BitsStored": bits,
            "HighBit": bits - 1,
            "PixelRepresentation": int(frame.dtype.kind == "i"),
            "PixelData": frame.tobytes() + b"\0" * (frame.nbytes % 2),
            "SamplesPerPixel": 3 if colour else 1,
            "PhotometricInterpretation": "RGB" if colour else "MONOCHROME2",
            "StudyDescription": "Zyxwolfhound description",
        }
        header |= {"PlanarConfiguration": 0} if colour else {}
        header |= {key: value(index) if callable(value) else value for key, value in attributes.items()}
        save(ct_slice(name, index, pixels=frame, **header), source / name / f"{index}.dcm")


def write_source(source: Path) -> None:
    """Write a series of every kind that exports treat differently."""
    slices = range(4)
    add(source, "signed", [noise("signed", i, -32768, 32767, "<i2") for i in slices], 16)
    add(source, "twelve", [noise("twelve", i, 0, 4095, "<u2") for i in slices], 12, RescaleSlope=0.5)
    add(source, "twelve in few", [noise("twelve in few", i, 0, 200, "<u2") for i in slices], 12)
    add(source, "eight", [noise("eight", i, 0, 255, "|u1") for i in slices], 8, WindowCenter=100, WindowWidth=50)
    add(source, "eight in sixteen", [noise("eight in sixteen", i, -128, 127, "<i2") for i in slices], 8)
    add(source, "inverse", [noise("inverse", 0, 0, 1023, "<u2")], 10, PhotometricInterpretation="MONOCHROME1")
    add(source, "colour", [noise("colour", 0, 0, 255, "|u1", (20, 12, 3))], 8)
    add(source, "deep colour", [noise("deep colour", 0, 0, 65535, "<u2", (20, 12, 3))], 16)
    add(source, "wide", [noise("wide", i, 0, 100, "<u4") for i in slices], 32)
    add(source, "pairs", [noise("pairs", i, 0, 4095, "<u2") for i in slices], 12, RescaleSlope=lambda i: 1 + i)
    add(
        source,
        "oblique",
        [noise("oblique", i, 0, 4095, "<u2") for i in slices],
        12,
        ImageOrientationPatient=OBLIQUE,
        ImagePositionPatient=lambda i: [float(each) for each in np.array([-10, 20, 5]) + 1.5 * i * NORMAL],
    )
    uneven = [noise("uneven", i, 0, 4095, "<u2") for i in slices]
    add(source, "uneven", uneven, 12, ImagePositionPatient=lambda i: [0.0, 0.0, [0, 1, 2.7, 9][i]])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, warm: Forks | None) -> Workflow:
    """A finished dataset with every export, not to be changed."""
    workflow = Workflow(tmp_path_factory.mktemp("made"), environment={"DICOMZARR_KEY": "k" * 32}, forks=warm)
    write_source(workflow.source)
    workflow.config = {"source": str(workflow.source)}  # absolute: copies of the results have the same source
    run = export(workflow, *TARGETS)
    assert "export_png: 1 of 12 arrays refused" in run.output
    return workflow


@pytest.fixture
def mine(made: Workflow, tmp_path: Path) -> Workflow:
    """A copy of its results, on the same source."""
    shutil.copytree(made.folder, tmp_path / "mine", symlinks=True, ignore=shutil.ignore_patterns("source"))
    return Workflow(tmp_path / "mine", made.config, made.environment, forks=made.forks)


def export(workflow: Workflow, *targets: str, ok: bool = True, **config: Any) -> Run:
    # An option without a list of values before the targets: --configfile would take them as values.
    return workflow.run("--show-failed-logs", *targets, ok=ok, **config)


def rows(workflow: Workflow, folder: str, table: str) -> list[dict[str, str]]:
    with open(workflow.results / "exports" / folder / table, newline="") as stream:
        return list(csv.DictReader(stream))


def names(workflow: Workflow) -> dict[str, str]:
    """Return the name of the source's series by array."""
    with open(workflow.results / "private/frames.csv", newline="") as stream:
        return {row["array"]: row["path"].split("/")[0] for row in csv.DictReader(stream)}


def stored(workflow: Workflow, array: str) -> np.ndarray:
    return np.asarray(zarr.open_array(str(workflow.results / "dataset/images.zarr" / array / "0"), mode="r")[...])


# ---- PNG


def test_png_decodes_to_the_stored_values_by_two_readers(made: Workflow) -> None:
    checked: dict[str, int] = {}
    for row in rows(made, "png", "files.csv"):
        path = made.results / "exports/png" / row["file"]
        voxels = stored(made, row["array"])
        frame = voxels[int(row["z"])] if row["z"] else voxels
        frame = np.moveaxis(frame, 0, -1) if frame.ndim == 3 else frame
        readers = [imagecodecs.png_decode(path.read_bytes())]
        deep_colour = frame.ndim == 3 and row["bit_depth"] == "16"
        with Image.open(path) as image:
            if deep_colour:  # Pillow cuts it to 8 bits
                readers.append(SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path))))
            else:
                readers.append(np.asarray(image))
        for samples in readers:
            assert samples.dtype == np.dtype(f"u{int(row['bit_depth']) // 8}")
            assert np.array_equal(samples.astype(np.int64) - int(row["offset"]), frame), row
        name = names(made)[row["array"]]
        checked[name] = checked.get(name, 0) + 1
    assert checked == {
        "signed": 4, "twelve": 4, "twelve in few": 4, "eight": 4, "eight in sixteen": 4, "inverse": 1, "colour": 1,
        "deep colour": 1, "pairs": 4, "oblique": 4, "uneven": 4,
    }  # fmt: skip


def test_png_loses_no_bits_and_reports_refused_arrays(made: Workflow) -> None:
    by_name = {names(made)[row["array"]]: row for row in rows(made, "png", "report.csv")}
    depth = {name: (row["bit_depth"], row["offset"]) for name, row in by_name.items() if row["outcome"] == "exported"}
    assert depth == {
        "signed": ("16", "32768"), "twelve": ("16", "0"), "twelve in few": ("16", "0"), "eight": ("8", "0"),
        "eight in sixteen": ("8", "128"), "inverse": ("16", "0"), "colour": ("8", "0"), "deep colour": ("16", "0"),
        "pairs": ("16", "0"), "oblique": ("16", "0"), "uneven": ("16", "0"),
    }  # fmt: skip
    wide = by_name["wide"]
    assert (wide["outcome"], wide["reason"], wide["files"]) == ("refused", "more_than_16_bits", "0")
    with open(made.results / "dataset/volumes.csv", newline="") as stream:
        volumes = {row["array"]: row for row in csv.DictReader(stream)}
    for row in by_name.values():
        assert row["source_bytes"] == volumes[row["array"]]["source_bytes"]
        assert row["stored_bytes"] == volumes[row["array"]]["stored_bytes"]
        folder = made.results / "exports/png" / row["array"]
        assert sum(path.stat().st_size for path in folder.glob("*")) == int(row["exported_bytes"])


def test_refused_arrays_can_be_gated(mine: Workflow) -> None:
    gated = export(mine, "export_png", ok=False, gate={"png_refused": 0, "quarantined": 0})
    assert gated.process.returncode != 0
    assert "gate.png_refused: found 1, allowed 0" in gated.output and "Traceback" not in gated.output
    assert (mine.results / "exports/png/export.json").exists()
    assert export(mine, "export_png", gate={"png_refused": 1}).jobs("export_png") == 1


# ---- Previews


def test_previews_are_eight_bits_in_a_folder_named_lossy(made: Workflow) -> None:
    found = list((made.results / "exports/preview_lossy").rglob("*.png"))
    assert len(found) == 39  # one file for each frame of every array
    assert {imagecodecs.png_decode(path.read_bytes()).dtype for path in found} == {np.dtype("u1")}
    assert json.loads((made.results / "exports/preview_lossy/export.json").read_text())["lossy"] is True
    assert json.loads((made.results / "exports/png/export.json").read_text())["lossy"] is False
    array = next(array for array, name in names(made).items() if name == "eight")
    seen = np.asarray(Image.open(made.results / "exports/preview_lossy" / array / "z0002.png"))
    values = stored(made, array)[2] * 1.0 - 1024
    assert np.array_equal(seen, np.rint(np.clip((values - 99.5) / 49 + 0.5, 0, 1) * 255))
    array = next(array for array, name in names(made).items() if name == "inverse")
    values = stored(made, array).astype(float)
    seen = np.asarray(Image.open(made.results / "exports/preview_lossy" / array / "image.png"))
    assert np.array_equal(seen, np.rint((1 - values / 1023) * 255))


# ---- NPZ


def test_npz_is_read_without_pickle_and_holds_pixels_and_attributes(made: Workflow) -> None:
    seen = set()
    for path in (made.results / "exports/npz").glob("*.npz"):
        with np.load(path, allow_pickle=False) as archive:
            for key in archive.files:
                if key.endswith("_attributes"):
                    continue
                array = f"{path.stem}/{key}"
                assert archive[key].dtype == stored(made, array).dtype
                assert np.array_equal(archive[key], stored(made, array))
                group = made.results / "dataset/images.zarr" / array / "zarr.json"
                facts = json.loads(group.read_text())["attributes"]["dicomzarr"]
                attributes = json.loads(str(archive[f"{key}_attributes"]))
                assert attributes == facts | {"array": array, "axes": attributes["axes"]}
                assert len(attributes["axes"]) == archive[key].ndim
                seen.add(array)
    assert seen == set(names(made))


# ---- NIfTI


def test_nifti_has_the_affine_of_dcm2niix(made: Workflow, tmp_path: Path) -> None:
    dcm2niix = Path(sys.prefix) / "bin" / "dcm2niix"
    exported = [row["array"] for row in rows(made, "nifti", "report.csv") if row["outcome"] == "exported"]
    assert {names(made)[array] for array in exported} == {
        "signed", "twelve", "twelve in few", "eight", "eight in sixteen", "oblique", "wide",
    }  # fmt: skip
    compared = set()
    for array in exported:
        name = names(made)[array]
        exported_image = nibabel.load(made.results / f"exports/nifti/{array}.nii.gz")
        voxels = np.asanyarray(exported_image.dataobj.get_unscaled())
        assert np.array_equal(voxels.T, stored(made, array)) and voxels.dtype == stored(made, array).dtype
        slope = 0.5 if name == "twelve" else 1.0
        assert (exported_image.dataobj.slope, exported_image.dataobj.inter) == (slope, -1024.0)
        assert np.allclose(exported_image.get_qform(), exported_image.affine, atol=1e-4)
        if name == "wide":  # dcm2niix makes floats of 32 bits
            continue
        (tmp_path / name).mkdir()
        command = [dcm2niix, "-z", "n", "-b", "n", "-f", "out", "-o", tmp_path / name, made.source / name]
        subprocess.run(command, check=True, capture_output=True)
        reference = nibabel.load(tmp_path / name / "out.nii")
        compared.add(name)
        assert_same_image(exported_image, reference)
    assert len(compared) == 6


def assert_same_image(exported_image: Any, reference: Any) -> None:
    """Compare affine, voxels and scaling of two images; axes of the reference may be permuted and flipped."""
    step = np.rint(
        np.linalg.inv(exported_image.affine) @ reference.affine
    )  # index in the reference to index in the export: a signed permutation
    assert np.array_equal(np.abs(step[:3, :3]).sum(0), [1, 1, 1])
    assert np.allclose(exported_image.affine @ step, reference.affine, rtol=0, atol=1e-4)
    order = [int(np.flatnonzero(step[axis, :3])[0]) for axis in range(3)]
    voxels = np.asanyarray(reference.dataobj.get_unscaled())
    voxels = voxels.transpose([*order, *range(3, voxels.ndim)])
    voxels = np.flip(voxels, [axis for axis in range(3) if step[axis, order[axis]] < 0])
    assert np.array_equal(voxels, np.asanyarray(exported_image.dataobj.get_unscaled()))
    assert np.allclose(
        [reference.dataobj.slope, reference.dataobj.inter], [exported_image.dataobj.slope, exported_image.dataobj.inter]
    )


def test_nifti_refuses_arrays_that_it_cannot_represent(made: Workflow) -> None:
    reasons = {names(made)[row["array"]]: row["reason"] for row in rows(made, "nifti", "report.csv") if row["reason"]}
    assert reasons == {
        "inverse": "no_regular_geometry", "colour": "no_regular_geometry", "deep colour": "no_regular_geometry",
        "uneven": "no_regular_geometry", "pairs": "rescale_per_frame",
    }  # fmt: skip


def test_volumes_of_the_corpus_have_the_affine_of_dcm2niix(corpus: Path, workflow: Workflow) -> None:
    run = export(workflow, "export_nifti", "export_png", source=str(corpus / "dicom"))
    with open(run.results / "private/frames.csv", newline="") as stream:
        files: dict[str, set[str]] = {}
        for row in csv.DictReader(stream):
            files.setdefault(row["array"], set()).add(row["path"])
    exported = [row["array"] for row in rows(workflow, "nifti", "report.csv") if row["outcome"] == "exported"]
    assert len(exported) == 8  # one of them a mosaic
    for number, array in enumerate(exported):
        folder = workflow.folder / f"one {number}"
        (folder / "in").mkdir(parents=True)
        for index, path in enumerate(sorted(files[array])):
            shutil.copy(corpus / "dicom" / path, folder / "in" / f"{index}.dcm")
        command = [Path(sys.prefix) / "bin/dcm2niix", "-z", "n", "-b", "n", "-f", "out", "-o", folder, folder / "in"]
        subprocess.run(command, check=True, capture_output=True)
        image = nibabel.load(run.results / f"exports/nifti/{array}.nii.gz")
        references = sorted(folder.glob("*.nii"))
        if len(references) == 1:
            assert_same_image(image, nibabel.load(references[0]))
            continue
        # Mosaics of several acquisitions: dcm2niix writes an image for each of our times.
        for number, reference in enumerate(references):
            voxels = np.asanyarray(image.dataobj.get_unscaled())[..., number]
            nibabel.save(nibabel.Nifti1Image(voxels, image.affine), folder / "time.nii.gz")
            assert_same_image(nibabel.load(folder / "time.nii.gz"), nibabel.load(reference))
        assert len(references) == image.shape[3]
    for row in rows(workflow, "png", "files.csv"):
        data = (run.results / "exports/png" / row["file"]).read_bytes()
        voxels = stored(workflow, row["array"])
        index = tuple(int(row[axis]) for axis in "tz" if row[axis])
        frame = np.moveaxis(voxels[index], 0, -1) if voxels[index].ndim == 3 else voxels[index]
        assert np.array_equal(imagecodecs.png_decode(data).astype(np.int64) - int(row["offset"]), frame)
        if frame.ndim == 2 or row["bit_depth"] == "8":
            assert np.array_equal(np.asarray(Image.open(io.BytesIO(data))).astype(np.int64) - int(row["offset"]), frame)


# ---- Incremental exports


def written(workflow: Workflow, rule: str) -> int:
    return int(json.loads((workflow.results / f"private/records/{rule}.json").read_text())["counts"]["written"])


def inodes(workflow: Workflow) -> dict[str, int]:
    exports = workflow.results / "exports"
    return {str(path.relative_to(exports)): path.stat().st_ino for path in exports.rglob("*/*/*") if path.is_file()}


def test_a_run_for_an_export_alone_makes_the_dataset_whole(workflow: Workflow) -> None:
    """Snakemake makes no missing file again if what is made from it, here the record of the export, exists."""
    save(ct_slice("one", 0), workflow.source / "one.dcm")
    workflow.run("export_npz")
    chunk = next(path for path in (workflow.results / "dataset/images.zarr").rglob("c/*/*") if path.is_file())
    chunk.unlink()
    (workflow.results / "private/plans/0001-0000.json").write_text("{")  # the batches are no longer known
    assert not workflow.run("-n", "export_npz").nothing_to_do
    run = workflow.run("export_npz")
    assert chunk.is_file() and run.jobs("plan_batches") == run.jobs("seal_dataset") == run.jobs("export_npz") == 1
    assert workflow.run("export_npz").nothing_to_do


def test_only_changed_series_are_exported_again(mine: Workflow, tmp_path: Path) -> None:
    assert export(mine, *TARGETS).nothing_to_do
    before = inodes(mine)
    # A new series, in a source that lies elsewhere.
    shutil.copytree(mine.config["source"], mine.source)
    mine.config = {"source": "source"}
    add(mine.source, "new", [noise("new", i, 0, 4095, "<u2") for i in range(3)], 12)
    export(mine, *TARGETS)
    assert [written(mine, rule) for rule in TARGETS] == [1, 1, 1, 1]
    after = inodes(mine)
    assert before.items() <= after.items() and len(after) > len(before)
    # A series that was deleted is removed from the exports by a run without export targets.
    removed = {array for array, name in names(mine).items() if name == "signed"}
    shutil.rmtree(mine.source / "signed")
    mine.run()
    series = {array.split("/")[0] for array in removed}
    assert not [path for path in inodes(mine) if any(series_id in path for series_id in series)]
    assert not list((mine.results / "exports/npz").glob(f"{next(iter(series))}*"))
    assert not (mine.results / "exports/png/export.json").exists()
    tables = [path for path in (mine.results / "exports").rglob("*") if path.suffix in (".csv", ".json")]
    assert not [path for path in tables if any(series_id in path.read_text() for series_id in series)]
    export(mine, *TARGETS)
    assert [written(mine, rule) for rule in TARGETS] == [0, 0, 0, 0]
    # From scratch the same bytes come out, whatever the number of cores.
    other = Workflow(tmp_path / "other", {"source": str(mine.source)}, mine.environment, forks=mine.forks)
    other.run("--show-failed-logs", *TARGETS, cores=1)
    assert files_of(other.results / "exports") == files_of(mine.results / "exports")


def test_a_missing_file_is_rebuilt_by_a_run_with_its_target(mine: Workflow, launch: Launch) -> None:
    whole, before = files_of(mine.results / "exports"), inodes(mine)
    missing = sorted((mine.results / "exports/png").glob("*/*/z0001.png"))[0]
    missing.unlink()
    mine.write_config()
    assert launch(mine, "status").returncode == 0  # a run that asks for no export has nothing to do
    status = launch(mine, "status", "export_png")
    assert status.returncode == 2 and "files or records of export_png are missing or damaged (1)" in status.stdout
    assert launch(mine, "verify").returncode == 1
    (mine.results / "exports/npz/report.csv").unlink()
    export(mine, *TARGETS)
    assert files_of(mine.results / "exports") == whole
    assert (written(mine, "export_png"), written(mine, "export_npz")) == (1, 0)
    series = missing.parts[-3]
    assert all(inode == before[path] for path, inode in inodes(mine).items() if series not in path)


def test_a_flipped_bit_is_found_by_verify_and_repaired(mine: Workflow, launch: Launch) -> None:
    whole = files_of(mine.results / "exports")
    mine.write_config()
    assert launch(mine, "verify").returncode == 0
    damaged = {
        "export_png": sorted((mine.results / "exports/png").glob("*/*/z0001.png"))[0],
        "export_npz": sorted((mine.results / "exports/npz").glob("*.npz"))[0],
        "export_nifti": sorted((mine.results / "exports/nifti").glob("*/*.nii.gz"))[0],
    }
    for path in damaged.values():
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    (mine.results / "exports/png/stray.png").write_bytes(b"x")
    found = launch(mine, "verify")
    assert found.returncode == 1 and "3 damaged, 0 missing, 1 surplus" in found.stdout
    for path in damaged.values():
        assert f"damaged  {path.relative_to(mine.results)}\n" in found.stdout
    repaired = launch(mine, "verify", "--repair", *damaged)
    assert repaired.returncode == 0, repaired.stderr
    assert files_of(mine.results / "exports") == whole
    assert {(rule, "series", "repair") for rule in damaged} <= revoked(mine.results)
    assert launch(mine, "verify").returncode == 0
    assert (mine.results / "private/surplus/exports/png/stray.png").exists()


def test_a_damaged_array_is_not_exported(mine: Workflow) -> None:
    array = next(array for array, name in names(mine).items() if name == "twelve")
    (shard,) = (mine.results / "dataset/images.zarr" / array / "0/c").rglob("0/0/0")
    data = bytearray(shard.read_bytes())
    data[40] ^= 1
    shard.write_bytes(data)
    run = export(mine, "export_png", ok=False, export_level=2)
    assert run.process.returncode != 0 and "Traceback" not in run.output
    assert f"{array.split('/')[0]}: damaged, {array}" in run.output, run.output[-3000:]
    assert "./run verify --repair" in run.output
    assert not (mine.results / "exports/png/export.json").exists()
    assert len(list((mine.results / "private/records/export_png").glob("*/*.json"))) == 12


# ---- Interruptions


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory, warm: Forks | None) -> Workflow:
    """A finished dataset with more series than are committed as one group, and its export."""
    workflow = Workflow(tmp_path_factory.mktemp("many"), environment={"DICOMZARR_KEY": "k" * 32}, forks=warm)
    for number in range(70):
        add(workflow.source, f"series {number}", [noise(str(number), 0, 0, 4095, "<u2", (256, 256))], 12)
    workflow.config = {"source": str(workflow.source)}
    export(workflow, "export_png")
    return workflow


MOMENTS = ["first file written", "first series committed", "later"]


@pytest.mark.parametrize("moment", in_ci(1, MOMENTS))
def test_the_same_command_continues_after_a_kill(many: Workflow, tmp_path: Path, moment: str) -> None:
    whole = files_of(many.results / "exports")
    shutil.copytree(many.folder, tmp_path / "mine", symlinks=True, ignore=shutil.ignore_patterns("source"))
    workflow = Workflow(tmp_path / "mine", many.config, many.environment, forks=many.forks)
    workflow.write_config()
    shutil.rmtree(workflow.results / "exports")
    sealed = workflow.results / "exports/png/export.json"
    kill_export(workflow, moment)
    for _ in range(20):
        if moment == MOMENTS[0] and sealed.exists():  # the kill came too late
            shutil.rmtree(workflow.results / "exports")
            kill_export(workflow, moment)
    assert moment != MOMENTS[0] or not sealed.exists()
    export(workflow, "export_png")
    assert files_of(workflow.results / "exports") == whole
    left = [path for path in workflow.results.rglob("*") if "temporary" in path.parts[:-1] or ".partial" in path.name]
    assert not left


def kill_export(workflow: Workflow, moment: str) -> None:
    """Start an export and kill all its processes at a moment."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(workflow.project / "Snakefile"), "export_png"]
    process = subprocess.Popen(
        [*command, "--cores", "2", "--configfile", "config.yaml"],
        cwd=workflow.folder,
        env=os.environ | workflow.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    folder = workflow.results / ("private/temporary" if moment == "first file written" else "exports/png")

    def has_written() -> bool:
        with contextlib.suppress(FileNotFoundError):  # a folder was renamed meanwhile
            return next(folder.glob("*/**/*.png"), None) is not None
        return False

    wait_until(lambda: process.poll() is not None or has_written(), every=0.002)
    time.sleep(0.3 if moment == "later" else 0)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


# ---- Privacy


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def add_text_chunk(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:33] + chunk(b"tEXt", b"Comment\0Zyxwolfhound description") + data[33:])


def add_file_name(path: Path) -> None:
    data = gzip.decompress(path.read_bytes())
    with open(path, "wb") as file, gzip.GzipFile("Zyxwolfhound description", "wb", fileobj=file) as stream:
        stream.write(data)


def add_member(path: Path) -> None:
    with np.load(path) as archive:
        np.savez_compressed(path, **archive, note=np.array("Zyxwolfhound description"))


def test_exports_are_searched_for_identifiers(mine: Workflow, launch: Launch) -> None:
    mine.write_config()
    clean = {}
    for kind, plant in (
        ("png/*/*/*.png", add_text_chunk),
        ("nifti/*/*.nii.gz", add_file_name),
        ("npz/*.npz", add_member),
    ):
        path = sorted((mine.results / "exports").glob(kind))[0]
        clean[path] = path.read_bytes()
        plant(path)
    done = launch(mine, "")
    assert done.returncode == 1
    for path in clean:
        assert f"value_in_file in results/{path.relative_to(mine.results)}" in done.stderr
    assert "zyxwolf" not in done.stderr.lower()
    for path, data in clean.items():
        path.write_bytes(data)
    assert launch(mine, "").returncode == 0
    for path in (mine.results / "exports").rglob("*"):
        assert "zyxwolf" not in path.name.lower() and "series" not in path.name
        assert path.is_dir() or b"zyxwolf" not in path.read_bytes().lower()
