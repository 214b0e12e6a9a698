"""Write a results folder as a finished run leaves it, with images and masks whose voxels are known, for exports."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import made_up_records
import numpy as np
import zarr
from blake3 import blake3
from numpy.typing import NDArray

from dicomzarr.arrays import ome_metadata, shard_writer, write_masks
from dicomzarr.masks.model import Description, PlacedMask
from dicomzarr.records.batch_record import CHECK, EXTRACT, BatchRecord, batch_record_path
from dicomzarr.records.mask_record import MaskRecord, SeriesMasks
from dicomzarr.records.record_file import FileClaim
from dicomzarr.records.series_record import FrameRow, SeriesRecord, VolumeRecord
from dicomzarr.system import csv_tables
from dicomzarr.system.files import sha256_of_bytes
from dicomzarr.system.results_folder import Results
from dicomzarr.volumes import model

BATCH = "0001-0001"
# Oblique: x and y are turned by 0.6/0.8 in the plane of x and z; 0.7 x 0.9 x 2.5 mm.
OBLIQUE = np.array([[0.56, 0, -1.5, -30.5], [0, 0.9, 0, 12.25], [0.42, 0, 2.0, 100.125], [0, 0, 0, 1]])


@dataclass
class MadeUpMask:
    """A mask: values along `axes`; `name` is that of the vocabulary, if it is not the folder."""

    values: NDArray[np.uint8]
    name: str = ""
    axes: str = "zyx"
    maximum_fraction: int | None = None
    own_affine: NDArray[np.float64] | None = None
    flags: tuple[str, ...] = ()


@dataclass
class MadeUpCase:
    """One image with its masks, by folder, and its cells of `volumes.csv`."""

    voxels: NDArray[Any]
    masks: dict[str, MadeUpMask] = field(default_factory=dict)
    axes: str = "zyx"
    affine: NDArray[np.float64] | None = field(default_factory=lambda: OBLIQUE)
    rescale: tuple[float, float] | None = None
    modality: str = "CT"
    subject: str = "00000000000000aa"
    split: str = ""
    absent: str = ""
    flags: str = ""
    pixel_digest: str = ""


def array_of(number: int) -> str:
    """Return the name of the array of a case."""
    return f"{0xABC0000000000000 + number:016x}/{0x2D957980 + number:08x}"


def _write_image(folder: Path, case: MadeUpCase) -> tuple[dict[str, FileClaim], tuple[FrameRow, ...]]:
    folder.mkdir(parents=True)
    dtype = case.voxels.dtype.newbyteorder("<").str
    size = dict(zip(case.axes, case.voxels.shape, strict=True))
    planes, places, frames = [], [], []
    for t in range(size["t"]) if "t" in size else [None]:
        for z in range(size["z"]) if "z" in size else [None]:
            at = {"t": t, "z": z}
            plane = case.voxels[tuple(slice(None) if at.get(axis) is None else at[axis] for axis in case.axes)]
            plane = np.ascontiguousarray(np.moveaxis(plane, 0, -1) if "c" in size else plane)
            planes.append(plane)
            frame = model.Frame(
                0, len(frames), 1, "", "", "", case.modality, (), size["y"], size["x"], 1, dtype, "MONOCHROME2", 16,
                rescale=case.rescale,
            )  # fmt: skip
            places.append(model.Place(frame, t, z))
            frames.append(FrameRow(0, len(frames), t, z, blake3(plane.data.cast("B")).hexdigest()))
    affine = None if case.affine is None else tuple(map(tuple, case.affine.tolist()))
    lengths = [] if case.affine is None else np.linalg.norm(case.affine[:3, :3], axis=0).tolist()
    volume = model.Volume(
        ("x",), "volume", "made up", tuple(case.axes), case.voxels.shape, tuple(places),
        spacing_mm=dict(zip("xyz", lengths, strict=False)), affine_lps=affine,
    )  # fmt: skip
    facts = {"modality": case.modality, "photometric": "MONOCHROME2", "bits_stored": 8 * case.voxels.itemsize}
    digests = ome_metadata.write_image_group(folder, volume, facts)
    grid = shard_writer.chunk_grid(case.axes, case.voxels.shape, dtype, "slice")
    written = shard_writer.write_array(folder / "0", grid, dtype, "balanced", planes)
    digests |= {f"0/{name}": digest for name, digest in written.items()}
    return {name: FileClaim(*digest) for name, digest in digests.items()}, tuple(frames)


def _write_masks(folder: Path, array: str, case: MadeUpCase) -> SeriesMasks:
    image = json.loads((folder / "zarr.json").read_text())["attributes"]
    records, groups = [], {}
    for number, (name, mask) in enumerate(sorted(case.masks.items())):
        own = None if mask.own_affine is None else tuple(map(tuple, mask.own_affine.tolist()))
        placed = PlacedMask(
            Description("SEG", 1), mask.values, mask.axes, "BINARY" if mask.maximum_fraction is None else "OCCUPANCY",
            maximum_fraction=mask.maximum_fraction, flags=("own_grid",) if own else mask.flags, own_affine_lps=own,
        )  # fmt: skip
        written = write_masks.write_mask(folder / "labels" / name, placed, compression="balanced", layout="slice")
        group = write_masks.write_mask_group(
            folder / "labels" / name, written, name=mask.name or name, number=number, code=None, image=image
        )
        files = {
            f"labels/{name}/{path}": FileClaim(*claim) for path, claim in sorted((dict(written.files) | group).items())
        }
        records.append(
            MaskRecord(
                array=array, mask=name, name="" if name.startswith("unnamed") else mask.name or name, kind="SEG",
                form=placed.form, algorithm="", axes=mask.axes, shape=written.shape,
                maximum_fraction=mask.maximum_fraction, voxels=written.voxels, largest=written.largest, volume_ml=None,
                bounding_box=written.box, slices=written.slices, outside=0.0, flags=placed.flags, counts={},
                pixel_digest=written.pixel_digest, files=files,
            )
        )  # fmt: skip
    if case.masks:
        on_grid = [name for name, mask in case.masks.items() if mask.own_affine is None]
        labels = write_masks.write_labels_group(folder / "labels", on_grid)
        groups = {f"{array}/labels/{path}": FileClaim(*claim) for path, claim in labels.items()}
    return SeriesMasks(masks=tuple(records), groups=groups)


def _volume_record(folder: Path, array: str, case: MadeUpCase) -> VolumeRecord:
    files, frames = _write_image(folder, case)
    return made_up_records.volume(
        array=array,
        axes=case.axes,
        shape=case.voxels.shape,
        dtype=case.voxels.dtype.newbyteorder("<").str,
        modality=case.modality,
        frame_rows=frames,
        files=files,
    )


def write_voxel(results: Results, number: int, below: str, place: tuple[int, ...], value: int) -> None:
    """Store another voxel in an array of a case, as a faulty writer would: the record claims the files as they are.

    Parameters
    ----------
    results : Results
    number : int
        Of the case.
    below : str
        The Zarr array, below the folder of the image.
    place : tuple of int
    value : int
    """
    image = results.images / array_of(number)
    zarr.open_array(image / below, mode="r+")[place] = value
    path = results.series_record(EXTRACT, image.parent.name)
    record = SeriesRecord.load(path)

    def as_they_are(of: Any) -> Any:
        return replace(of, files={name: FileClaim(*_size_and_digest((image / name).read_bytes())) for name in of.files})

    masks = replace(record.masks, masks=tuple(map(as_they_are, record.masks.masks)))
    record = replace(record, volumes=tuple(map(as_they_are, record.volumes)), masks=masks)
    path.write_bytes(record.to_bytes().data)


def _size_and_digest(data: bytes) -> tuple[int, str]:
    return len(data), sha256_of_bytes(data)


def write_results(root: Path, cases: dict[int, MadeUpCase]) -> Results:
    """Write a results folder, each case a series of its own; what an earlier call wrote of other cases is removed.

    Parameters
    ----------
    root : Path
    cases : dict of int to MadeUpCase
        By the number of `array_of`.
    """
    import shutil

    results, rows = Results(root), []
    shutil.rmtree(results.dataset, ignore_errors=True)
    for number, case in sorted(cases.items()):
        array = array_of(number)
        series_id = array.split("/")[0]
        volume = _volume_record(results.images / array, array, case)
        masks = _write_masks(results.images / array, array, case)
        check = made_up_records.CHECK.__class__(
            "code", "fingerprint", {}, (made_up_records.depth(array=array),), made_up_records.CHECK.size
        )
        records = {
            EXTRACT: made_up_records.series(
                series_id=series_id, subject_id=case.subject, volumes=(volume,), masks=masks
            ),
            CHECK: check,
        }
        (results.images / series_id / "zarr.json").write_bytes(records[EXTRACT].group())
        for rule, record in records.items():
            path = results.series_record(rule, series_id)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(record.to_bytes().data)
        cells = {
            "array": array, "series_id": series_id, "subject_id": case.subject, "split": case.split,
            "modality": case.modality, "axes": case.axes, "masks": " ".join(sorted(case.masks)),
            "masks_absent": case.absent, "flags": case.flags, "pixel_digest": case.pixel_digest,
        }  # fmt: skip
        rows.append(dict.fromkeys([*csv_tables.VOLUMES, "masks", "masks_absent"], "") | cells)
    series = {array_of(number).split("/")[0]: "" for number in cases}
    batch = BatchRecord(series=series, records_digest="")
    path = batch_record_path(results, EXTRACT, BATCH)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(batch.to_bytes().data)
    with open(results.dataset / "volumes.csv", "w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]) if rows else ["array"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    results.sealed.write_text(json.dumps({"digest": "made up"}))
    return results


def export(results: Results, **config: Any) -> Any:
    """Run the stage of `export_nnunet`; return its record."""
    from export_nnunet import export_nnunet

    defaults = {"dataset": "Dataset001_Liver", "modality": "CT", "labels": ["liver", "tumour"]}
    return export_nnunet(results.root, [BATCH], 1, 1, "code", defaults | config)
