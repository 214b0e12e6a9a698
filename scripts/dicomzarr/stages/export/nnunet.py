"""nnU-Net v2: a raw dataset of the images that have masks, with their label maps and our splits by patient.

A case is one image with the axes z, y and x. `format: nifti` writes image and label map as NIfTI; `format: zarr` writes
small files that point into the dataset, for the reader in examples/nnunet_dicomzarr.py.
"""

from __future__ import annotations

import csv
import json
import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dicomzarr.records.export_record import NNUNET, ExportRecord
from dicomzarr.records.record_file import FileClaim
from dicomzarr.stages.export import label_maps, nifti
from dicomzarr.stages.export.label_maps import Labels
from dicomzarr.stages.export.masks import Mask
from dicomzarr.stages.export.masks import of_array as masks_of
from dicomzarr.stages.export.refusals import LeftOut, Refused
from dicomzarr.stages.export.tables import ArrayExport, Exported, array_row, each_array, file_row
from dicomzarr.stages.export.verified_arrays import Array
from dicomzarr.system import files, json_files
from dicomzarr.system.results_folder import Results
from dicomzarr.vocabulary.errors import UserError

ENDINGS = {"nifti": ".nii.gz", "zarr": ".dicomzarr"}
READER = "DicomZarrIO"
POINTER_VERSION = 2  # of the files of `format: zarr`, as in examples/nnunet_dicomzarr.py
SAME_PIXELS = "same_pixels_elsewhere"  # the flag of arrays whose pixels another subject has, too
FOLDS = 5  # nnU-Net's own number of folds, for splits without `val`
# What the names of splits mean; without splits, every case is one of training. Others are left out.
PARTS = {"": "train", "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val"}
PARTS |= {"test": "test", "testing": "test"}


@dataclass(frozen=True, slots=True)
class Case:
    """What `volumes.csv` says of an array that may become a case.

    Attributes
    ----------
    subject_id, split : str
    absent : tuple of str
        Masks that were looked for and not found.
    twins : str
        One of the subjects who share pixels with this one (flag ``same_pixels_elsewhere``), directly or through others:
        they may be one patient under several identifiers. Empty if nobody does.
    """

    subject_id: str
    split: str
    absent: tuple[str, ...] = ()
    twins: str = ""

    @property
    def patient(self) -> str:
        """Whose it is: cases of equal ones are never on both sides of a fold."""
        return self.twins or self.subject_id

    @property
    def part(self) -> str:
        """What it is for: ``train``, ``val`` or ``test``; empty if its split has another name."""
        return PARTS.get(self.split, "")


@dataclass(frozen=True, slots=True)
class Plan:
    """The config key `nnunet`.

    Attributes
    ----------
    dataset : str
        Such as ``Dataset001_Liver``.
    modality : str
        Of the images; the name of nnU-Net's only channel.
    labels : Labels
    format : str
        ``nifti`` or ``zarr``.
    """

    dataset: str
    modality: str
    labels: Labels
    format: str = "nifti"

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Plan:
        """Return the plan of the config key `nnunet`.

        Parameters
        ----------
        config : mapping
        """
        labels = Labels(tuple(config["labels"]), config.get("overlaps", "refuse"))
        return cls(config["dataset"], config["modality"], labels, config.get("format", "nifti"))

    @property
    def ending(self) -> str:
        """How the names of files end, for nnU-Net."""
        return ENDINGS[self.format]

    def settings(self) -> dict[str, Any]:
        """Return all of it as JSON values."""
        return {
            "dataset": self.dataset,
            "modality": self.modality,
            "labels": list(self.labels.names),
            "overlaps": self.labels.overlaps,
            "format": self.format,
        }


def case_name(array: str) -> str:
    """Return nnU-Net's name of a case: the ids of series and volume."""
    return array.replace("/", "_")


def read_cases(results: Results) -> dict[str, Case]:
    """Return what `volumes.csv` says of each array."""
    cases: dict[str, Case] = {}
    subjects: dict[str, set[str]] = defaultdict(set)  # by digest of the pixels that they share
    with open(results.dataset / "volumes.csv", newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            cases[row["array"]] = Case(row["subject_id"], row["split"], tuple(row.get("masks_absent", "").split()))
            if SAME_PIXELS in row["flags"].split():
                subjects[row["pixel_digest"]].add(row["subject_id"])
    twins = _twins(subjects.values())
    return {array: replace(case, twins=twins.get(case.subject_id, "")) for array, case in cases.items()}


def _twins(tied: Iterable[Collection[str]]) -> dict[str, str]:
    """Return the first of all subjects who are tied with a subject, also through others; by subject."""
    first: dict[str, str] = {}
    members: dict[str, set[str]] = {}
    for subjects in tied:
        together = set(subjects).union(*(members[first[one]] for one in subjects if one in first))
        members[min(together)] = together
        first |= dict.fromkeys(together, min(together))
    return first


def refuse_unknown_modality(results: Results, plan: Plan) -> None:
    """Refuse a training set of a modality that no array has: it would have no case.

    Parameters
    ----------
    results : Results
    plan : Plan

    Raises
    ------
    UserError
    """
    with open(results.dataset / "volumes.csv", newline="", encoding="utf-8") as stream:
        found = sorted({row["modality"] for row in csv.DictReader(stream)} - {""})
    if plan.modality not in found:
        raise UserError(
            f"config key 'nnunet.modality': found {plan.modality!r}, which no array of the dataset has; it has "
            + (", ".join(found) or "no arrays")
        )


def refuse_validation_alone(cases: Iterable[Case]) -> None:
    """Refuse cases of which some are for validation and none for training: nnU-Net would train on those.

    Parameters
    ----------
    cases : iterable of Case

    Raises
    ------
    UserError
    """
    parts = {case.part for case in cases}
    if "val" in parts and "train" not in parts:
        raise UserError(
            "config key 'splits': cases for validation (val) were found, and none for training, so that nnU-Net would "
            "train on them; needed are patients in a split 'train'. For folds of all cases, leave the split 'val' out"
        )


def facts_of(cases: Mapping[str, Case], plan: Plan) -> dict[str, Any]:
    """Return, by array, what its files depend on beside its voxels: which folder, and which labels are absent."""
    names = set(plan.labels.names)
    return {
        array: [case.part == "test", not case.part, sorted(names & set(case.absent)), bool(case.absent)]
        for array, case in cases.items()
    }


# ---- One case


def _finite(blocks: Iterable[NDArray[Any]]) -> Iterator[bytes]:
    for block in blocks:
        if block.dtype.kind == "f" and not np.isfinite(block).all():
            raise Refused("nan_values")
        yield block.tobytes()


def _voxel_files(claims: Mapping[str, FileClaim], level: str) -> dict[str, str]:
    """Return the SHA-256 of the files of an array without its coarser levels, by path below the folder of the image."""
    return {path: claim.digest for path, claim in claims.items() if path.startswith(level)}


def _pointer(array: Array, dataset: str, header: Any, voxels: Mapping[str, str]) -> dict[str, Any]:
    """Return the content of the file that stands for an image: where it lies, and how its values are scaled.

    The path of the image is relative to the folder of the dataset of nnU-Net, which copies label files elsewhere. The
    digests tell the reader whether geometry, scaling, masks or the voxels that it reads (`voxels`) changed since: the
    metadata do not depend on voxels.
    """
    slope, intercept = header.get_slope_inter()
    folder = array.results.images / array.name
    metadata = [folder / "zarr.json", *sorted((folder / "labels").glob("**/zarr.json"))]
    return {
        "dicomzarr_case": POINTER_VERSION,
        "dataset": dataset,
        "image": os.path.relpath(array.results.images / array.name, array.results.exports / NNUNET.folder / dataset),
        "sha256": {path.relative_to(folder).as_posix(): files.sha256_of(path) for path in metadata} | dict(voxels),
        "slope": slope,
        "intercept": intercept,
        "affine_lps": np.asarray(array.facts["affine_lps"], float).tolist(),
    }


def _write_case(array: Array, store: Path, level: int, plan: Plan, cases: Mapping[str, Case]) -> ArrayExport:
    if array.record.modality != plan.modality:
        raise LeftOut("other_modality")
    case = cases[array.name]
    if not case.part:
        raise LeftOut("other_split")
    masks = masks_of(array)
    if not masks and not case.absent:
        raise LeftOut("no_masks")
    if array.axes != "zyx":
        raise Refused("axes_not_zyx")
    header = nifti.header_of(array)
    if not nifti.is_orthogonal(np.asarray(array.facts["affine_lps"], np.float64)):
        raise Refused("sheared")
    chosen = label_maps.select(masks, plan.labels, case.absent)
    part = "Ts" if case.part == "test" else "Tr"
    name = case_name(array.name)
    image = store / plan.dataset / f"images{part}" / f"{name}_0000{plan.ending}"
    label = store / plan.dataset / f"labels{part}" / f"{name}{plan.ending}"
    for path in (image, label):
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        if plan.format == "nifti":
            _write_nifti(array, chosen, plan.labels, header, image, label, level)
        else:
            _write_pointers(array, chosen, plan, header, image, label)
    except Refused:
        image.unlink(missing_ok=True)
        label.unlink(missing_ok=True)
        raise
    rows = [
        file_row(image, store, array.name, bit_depth=int(header["bitpix"]), pixel_digest=array.record.pixel_digest),
        file_row(label, store, array.name, bit_depth=8),
    ]
    return array_row(array, files=2, exported_bytes=sum(row.bytes for row in rows), bit_depth=rows[0].bit_depth), rows


def _write_nifti(
    array: Array, chosen: Sequence[Sequence[Mask]], labels: Labels, header: Any, image: Path, label: Path, level: int
) -> None:
    pieces = (numbers.tobytes() for numbers in label_maps.blocks(array, chosen, labels))
    shape = list(reversed(array.shape))
    label_header = nifti.new_header(np.dtype("|u1"), shape, array.facts["affine_lps"], (1.0, 0.0))
    nifti.write_file(label, label_header, pieces, level, array.name)
    nifti.write_file(image, header, _finite(block for block, _ in array.blocks()), level, array.name)


def _write_pointers(
    array: Array, chosen: Sequence[Sequence[Mask]], plan: Plan, header: Any, image: Path, label: Path
) -> None:
    for _ in label_maps.blocks(array, chosen, plan.labels):  # overlaps are refused
        pass
    if array.dtype.kind == "f":
        for _ in _finite(block for block, _ in array.blocks()):
            pass
    pointer = _pointer(array, plan.dataset, header, _voxel_files(array.record.files, "0/"))
    image.write_bytes(json_files.canonical_json(pointer))
    voxels = {"0/zarr.json": array.record.files["0/zarr.json"].digest}
    for mask in (mask for found in chosen for mask in found):
        voxels |= _voxel_files(mask.record.files, f"labels/{mask.folder}/0/")
    masks = [
        {"value": value, "mask": mask.folder, "threshold": mask.threshold}
        for value, found in zip(plan.labels.values, chosen, strict=True)
        for mask in found
    ]
    pointer = _pointer(array, plan.dataset, header, voxels)
    label.write_bytes(json_files.canonical_json(pointer | {"masks": masks, "may_overlap": plan.labels.has_regions}))


def export_series(arrays: list[Array], store: Path, level: int, plan: Plan, cases: Mapping[str, Case]) -> Exported:
    """Write the cases of a series below `store`; the first parameters are those of `tables.ExportSeries`.

    Parameters
    ----------
    arrays : list of Array
    store : Path
    level : int
    plan : Plan
    cases : mapping of str to Case
        By array.
    """
    return each_array(arrays, lambda array: _write_case(array, store, level, plan, cases))


# ---- The lists of all cases


def folds(names: Sequence[str], cases: Mapping[str, Case]) -> list[dict[str, list[str]]]:
    """Return `splits_final.json`: one fold of `train` and `val`, or five by patient where there is no `val`.

    Parameters
    ----------
    names : sequence of str
        Arrays that are training cases: all but those of the split `test`.
    cases : mapping of str to Case
        By array.

    Returns
    -------
    list of dict
        ``train`` and ``val`` of each fold: names of cases. Empty if there are cases of one patient only.
    """
    validation = {name for name in names if cases[name].part == "val"}
    if 0 < len(validation) < len(names):
        held_out = [validation]
    else:
        patients = sorted({cases[name].patient for name in names})
        count = min(FOLDS, len(patients))
        fold_of = {patient: number % count for number, patient in enumerate(patients)} if count > 1 else {}
        held_out = [
            {name for name in names if fold_of[cases[name].patient] == fold} for fold in range(count) if fold_of
        ]
    return [
        {
            "train": [case_name(name) for name in names if name not in held],
            "val": [case_name(name) for name in names if name in held],
        }
        for held in held_out
    ]


def dataset_json(plan: Plan, training: int) -> dict[str, Any]:
    """Return `dataset.json` of nnU-Net.

    Parameters
    ----------
    plan : Plan
    training : int
        Number of training cases.
    """
    order = plan.labels.class_order()
    return {
        "name": plan.dataset,
        "channel_names": {"0": plan.modality},
        "labels": plan.labels.numbers(),
        "numTraining": training,
        "file_ending": plan.ending,
        "overwrite_image_reader_writer": "SimpleITKIO" if plan.format == "nifti" else READER,
    } | ({} if order is None else {"regions_class_order": order})


def exported_cases(records: Iterable[ExportRecord]) -> list[str]:
    """Return the arrays that are cases, sorted."""
    return sorted({row.array for record in records for row in record.arrays if row.outcome == "exported"})


def write_index(folder: Path, records: Iterable[ExportRecord], plan: Plan, cases: Mapping[str, Case]) -> list[Path]:
    """Write `dataset.json` and `splits_final.json`; return their paths, none where no array became a case.

    Parameters
    ----------
    folder : Path
        Of the export.
    records : iterable of ExportRecord
    plan : Plan
    cases : mapping of str to Case
        By array.

    Raises
    ------
    UserError
        If cases are for validation, and none is for training.
    """
    exported = exported_cases(records)
    if not exported:
        return []
    training = [name for name in exported if cases[name].part != "test"]
    refuse_validation_alone(cases[name] for name in training)
    content: dict[str, Any] = {"dataset.json": dataset_json(plan, len(training))}
    if splits := folds(training, cases):
        content["splits_final.json"] = splits
    paths = []
    for name, value in content.items():
        path = folder / plan.dataset / name
        path.parent.mkdir(parents=True, exist_ok=True)
        # The order of `labels` is that of `regions_class_order`: keys are not sorted.
        files.write_atomically(path, (json.dumps(value, indent=2) + "\n").encode())
        paths.append(path)
    return paths
