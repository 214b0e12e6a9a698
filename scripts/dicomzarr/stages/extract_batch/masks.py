"""Place the masks of segmentations and structure sets on the images of a series, and write them beside the images."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import logging
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dicomzarr.arrays import write_masks
from dicomzarr.arrays.write_masks import LABELS, WrittenMask, levels_of_masks
from dicomzarr.dicom.header_values import number as number_of
from dicomzarr.dicom.sop_classes import RT_STRUCTURE_SET
from dicomzarr.masks.grid import ImageGrid
from dicomzarr.masks.model import Elsewhere, Kind, MaskProblem, PlacedMask
from dicomzarr.masks.names import Vocabulary, known_code, mask_folder_names
from dicomzarr.masks.regions import check_within, regions_by_grid
from dicomzarr.masks.segmentation import Segmentation, read_segmentation
from dicomzarr.masks.segments import masks_of_segmentation
from dicomzarr.masks.structure_set import StructureSet, read_structure_set
from dicomzarr.pixels import reader as pixels
from dicomzarr.records.mask_record import NO_MASKS, MaskFile, MaskRecord, MaskText, SeriesMasks
from dicomzarr.records.plan import SeriesPlan
from dicomzarr.records.record_file import FileClaim
from dicomzarr.records.series_record import VolumeRecord
from dicomzarr.source.opener import Opener
from dicomzarr.source.row import HeaderRow
from dicomzarr.stages.extract_batch.extraction import Extraction
from dicomzarr.stages.extract_batch.image_grids import WrittenImage, image_of, originals
from dicomzarr.stages.extract_batch.options import Options
from dicomzarr.stages.extract_batch.series_files import (
    Readers,
    Roots,
    SourceFile,
    opened,
    read_data_set,
    reason_of_content,
)
from dicomzarr.system import sandbox, shortage
from dicomzarr.system.files import remove_tree
from dicomzarr.system.thread_pool import ThreadPool
from dicomzarr.vocabulary.reasons import NotExtracted

log = logging.getLogger("dicomzarr")

LARGEST_MASK = 2 << 30  # bytes: a mask is in memory while it is placed
# Reasons of files of which no mask was placed, by what was wrong.
_REASONS = {
    "no_image": "mask_without_image",
    "other_space": "mask_without_image",
    "ambiguous_volume": "mask_ambiguous",
}
# Flags of a segmentation whose frames may be others than those that were read.
_SHIFTED = frozenset({"surplus_frames", "trailing_bytes", "uncertain_frames"})


class _Written(NamedTuple):
    """A mask in a temporary folder, and the number of the file that it comes from."""

    folder: Path
    mask: WrittenMask
    file: int


def place_masks(
    extraction: Extraction,
    contents: Mapping[str, str],
    volumes: Sequence[VolumeRecord],
    instances: Sequence[str],
    copies: Collection[str] = (),
) -> SeriesMasks:
    """Write the masks of a series beside its images.

    Parameters
    ----------
    extraction : Extraction
        Its store has the images that were written; the masks are added to it.
    contents : mapping of str to str
        BLAKE3 of each file, by path.
    volumes : sequence of VolumeRecord
        The images.
    instances : sequence of str
        SOP Instance UID (0008,0018) of each file of the series, in the order to which `FrameRow.source` refers.
    copies : collection of str
        SOP Instance UIDs of files that are duplicates of others.

    Returns
    -------
    SeriesMasks
        The same for equal contents, whatever the names of files.
    """
    plan, store, options = extraction.plan, extraction.store, extraction.options
    if not plan.masks:
        return NO_MASKS
    vocabulary = Vocabulary(options.mask_names)
    kept = {instances[frame.source] for volume in volumes for frame in volume.frames} if copies else set()
    copied = originals(plan, copies, kept)
    images = {volume.array: image_of(plan, store, volume, instances, copied) for volume in volumes}
    levels = {array: levels_of_masks(image.attributes) for array, image in images.items()}
    writer = _Writer(store, options, extraction.pool, levels)
    files: list[MaskFile] = []
    first: dict[str, int] = {}  # number of the first file of each content
    again: dict[int, int] = {}  # the same of its copies
    instance_files: dict[str, list[int]] = {}  # of each SOP Instance UID, files of different content
    for row in sorted(plan.masks, key=lambda row: (contents[row["path"]], row["path"])):
        content, facts = contents[row["path"]], row["facts"]
        kind: Kind = "RTSTRUCT" if facts.get("SOPClassUID") == RT_STRUCTURE_SET else "SEG"
        file = MaskFile(row["path"], (*row["stat"],), content, kind, "", "", 0, 0)
        if not reason_of_content(content) and first.setdefault(content, len(files)) != len(files):
            again[len(files)] = first[content]
            files.append(file)
            continue
        instance_files.setdefault(facts.get("SOPInstanceUID") or content, []).append(len(files))
        writer.file = len(files)
        files.append(_place_file(extraction, file, row, images, writer, vocabulary, copies))
    for numbers in instance_files.values():
        _settle_copies(numbers, files, writer)
    for copy, number in again.items():  # a copy of a file that was not placed is no duplicate of one that was
        same = files[number]
        files[copy] = files[copy]._replace(reason=same.reason or "duplicate", problem=same.reason and same.problem)
    writer.flag_missing_parts({number for number, file in enumerate(files) if not file.reason})
    return writer.finish(files, images, vocabulary)


def _settle_copies(numbers: Sequence[int], files: list[MaskFile], writer: _Writer) -> None:
    """Keep the first of files with one SOP Instance UID if all have the same masks; else none: none is known right."""
    placed = [number for number in numbers if not files[number].reason]
    if len(placed) < 2:
        return
    # Without paths and contents.
    stated = [(writer.masks_of(number), files[number][3:]) for number in placed]
    agree = all(one == stated[0] for one in stated)
    for number in placed[1:] if agree else placed:
        writer.remove(number)
        reason = "duplicate" if agree else "conflicting_instance"
        files[number] = files[number]._replace(reason=reason, masks=0, failed=0, elsewhere=(), not_absent=())


def _place_file(
    extraction: Extraction,
    file: MaskFile,
    row: HeaderRow,
    images: Mapping[str, WrittenImage],
    writer: _Writer,
    vocabulary: Vocabulary,
    copies: Collection[str],
) -> MaskFile:
    """Place the masks of one file; return it with what became of it."""
    plan, grids = extraction.plan, [images[array].grid for array in sorted(images)]
    placed, failed, problem = 0, 0, ""
    elsewhere: list[Elsewhere] = []
    by_frame = [] if _names(row, plan) else ["by_frame_of_reference"]
    masks = functools.partial(_of_segmentation, copies=copies) if file.kind == "SEG" else _of_structure_set
    try:
        if reason_of_content(file.content):
            raise MaskProblem("unreadable_header")
        if not grids:
            raise MaskProblem("no_image")
        for found in masks(file, row, plan, grids, extraction.roots):
            if isinstance(found, str):
                failed, problem = failed + 1, found
                continue
            if isinstance(found, Elsewhere):
                elsewhere.append(found)
                continue
            grid, mask = found
            flags = tuple(sorted({*mask.flags, *by_frame}))
            writer.add(grid.array, dataclasses.replace(mask, flags=flags))
            placed += 1
    except (MaskProblem, NotExtracted) as error:
        problem = error.code
        failed += bool(placed)
    if not placed and not problem and elsewhere:
        problem = elsewhere[0].problem if len({one.problem for one in elsewhere}) == 1 else "no_image"
    reason = "" if placed else _REASONS.get(problem, "mask_unreadable") if problem else "mask_without_image"
    if problem:
        log.warning("series %s: a %s file was not placed as a whole: %s", plan.series_id, file.kind, problem)
    file = file._replace(reason=reason, problem=problem, masks=placed, failed=failed)
    if reason:
        return file
    return file._replace(
        elsewhere=tuple(sorted(one.description.number for one in elsewhere if one.is_drawn)),
        not_absent=tuple(sorted({vocabulary.name_of(one.description) for one in elsewhere} - {""})),
    )


def _names(row: HeaderRow, plan: SeriesPlan) -> bool:
    """Return whether a file names the series, or an instance of it."""
    references = row["facts"].get("mask_references", {})
    named = {*references.get("series", ()), *references.get("instances", ())}
    return any(
        not named.isdisjoint((image["facts"].get("SeriesInstanceUID", ""), image["facts"].get("SOPInstanceUID", "")))
        for image in plan.files
    )


def _thickness_of(plan: SeriesPlan) -> float:
    """Return the largest Slice Thickness (0018,0050) of a series, mm; 0 where none is known."""
    return max((number_of(image["facts"].get("SliceThickness")) or 0.0 for image in plan.files), default=0.0)


def _instances_of(plan: SeriesPlan) -> set[str]:
    """Return the SOP Instance UIDs of all files of a series."""
    return {image["facts"].get("SOPInstanceUID", "") for image in plan.files} - {""}


Found = tuple[ImageGrid, PlacedMask] | Elsewhere | str  # a mask on an image, none here, or the code of a problem


def _of_segmentation(
    file: MaskFile,
    row: HeaderRow,
    plan: SeriesPlan,
    grids: Sequence[ImageGrid],
    roots: Roots,
    copies: Collection[str] = (),
) -> Iterator[Found]:
    """Yield the masks of a segmentation; raises `MaskProblem` or `NotExtracted`."""
    segmentation: Segmentation = _checked(sandbox.call(_parse_segmentation, row, roots, fault="unreadable_header"))
    # Lossy Image Compression (0028,2110) is copied from the images of a segmentation: the stream alone counts.
    form = pixels.pixel_format(row["facts"])
    form = dataclasses.replace(form, lossy_header="", lossy=bool(form.syntax.lossy))
    source = SourceFile(row, file.content, format=form)
    with contextlib.closing(Readers([source], roots)) as readers:
        flags = set()
        # Of more frames than Number of Frames, any may be those that the functional groups do not describe.
        if readers.of(0).spare_frames or not _SHIFTED.isdisjoint({*readers.of(0).flags, *row["flags"]}):
            flags.add("uncertain_pixels")
        if form.syntax.family != "native" and readers.frame(0, 0).lossy:
            flags.add("lossy_pixels")

        def read_frame(number: int) -> np.ndarray[Any, Any]:
            return readers.frame(0, number).pixels

        for found in masks_of_segmentation(
            segmentation,
            grids,
            read_frame,
            by_frame_of_reference=not _names(row, plan),
            instances={uid: uid in copies for uid in _instances_of(plan)},
        ):
            if flags and not isinstance(found, Elsewhere):
                grid, mask = found
                yield grid, dataclasses.replace(mask, flags=tuple(sorted(flags.union(mask.flags))))
            else:
                yield found


def _of_structure_set(
    file: MaskFile, row: HeaderRow, plan: SeriesPlan, grids: Sequence[ImageGrid], roots: Roots
) -> Iterator[Found]:
    """Yield the masks of a structure set, or the code of a region's problem; raises `MaskProblem` or `NotExtracted`."""
    structures: StructureSet = _checked(sandbox.call(_parse_structure_set, row, roots, fault="unreadable_header"))
    placed = [*regions_by_grid(structures, grids, _instances_of(plan))]
    if not _names(row, plan):
        check_within(placed, _thickness_of(plan))
    for region, grid in placed:
        if isinstance(grid, str):
            yield Elsewhere(region.description, problem=grid) if grid in ("no_image", "other_space") else grid
            continue
        try:
            yield grid, _unpacked(*_checked(sandbox.call(_fill, region, grid, fault="mask_unreadable")))
        except (MaskProblem, NotExtracted) as error:
            yield error.code


def _parse_segmentation(row: HeaderRow, roots: Roots) -> Segmentation | MaskProblem:
    with Opener(roots.by_label) as opener, opened(row, opener) as file:
        header = read_data_set(file.descriptor(), row)
    try:
        return MaskProblem("unreadable_header") if header is None else read_segmentation(header)
    except MaskProblem as problem:
        shortage.refuse_at_value(problem.__context__ or problem)
        return problem


def _parse_structure_set(row: HeaderRow, roots: Roots) -> StructureSet | MaskProblem:
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(opened(row, stack.enter_context(Opener(roots.by_label))))
        stream = stack.enter_context(open(file.descriptor(), "rb", closefd=False))
        stream.seek(0)
        try:
            return read_structure_set(stream)
        except MaskProblem as problem:
            shortage.refuse_at_value(problem.__context__ or problem)
            return problem


def _fill(region: Any, grid: ImageGrid) -> tuple[PlacedMask, tuple[int, ...]] | MaskProblem:
    """Return the mask of contours with eight voxels in a byte, so that the answer takes little memory; its shape."""
    from dicomzarr.masks.contours import mask_of_contours

    try:
        placed = mask_of_contours(region, grid)
    except MaskProblem as problem:
        shortage.refuse_at_value(problem.__context__ or problem)
        return problem
    return dataclasses.replace(placed, values=np.packbits(placed.values)), placed.values.shape


def _unpacked(packed: PlacedMask, shape: tuple[int, ...]) -> PlacedMask:
    """Return a mask from what `_fill` returns."""
    values = np.unpackbits(packed.values, count=int(np.prod(shape))).reshape(shape)
    return dataclasses.replace(packed, values=values)


def _checked(answer: Any) -> Any:
    """Return the answer of a child process, or raise the problem that it found."""
    if isinstance(answer, MaskProblem):
        raise answer
    return answer


class _Writer:
    """Writes masks under temporary names; once all are known, they get their names and metadata.

    Attributes
    ----------
    file : int
        Number of the file whose masks are added.
    """

    def __init__(self, store: Path, options: Options, pool: ThreadPool, levels: Mapping[str, Sequence[str]]) -> None:
        self.file = 0
        self._store, self._options, self._pool, self._levels = store, options, pool, levels
        self._written: dict[str, list[_Written]] = {}
        self._count = 0

    def add(self, array: str, placed: PlacedMask) -> None:
        """Write the array of a mask of an image."""
        if placed.values.nbytes > LARGEST_MASK:
            raise MaskProblem("too_large", found=placed.values.nbytes, needed=LARGEST_MASK)
        masks = self._written.setdefault(array, [])
        folder = self._store / array.split("/")[1] / LABELS / f".{self._count}"
        self._count += 1
        compression, layout = self._options.compression, self._options.layout
        mask = write_masks.write_mask(
            folder, placed, compression=compression, layout=layout, coarser=self._levels[array], pool=self._pool
        )
        masks.append(_Written(folder, mask, self.file))

    def masks_of(self, file: int) -> list[tuple[object, ...]]:
        """Return what each mask of a file is: image, values, what they mean, and all that the file says of it."""
        return [
            (array, one.mask.pixel_digest, one.mask.shape, placed.form, placed.maximum_fraction, placed.description)
            for array, written in sorted(self._written.items())
            for one in written
            for placed in [one.mask.placed]
            if one.file == file
        ]

    def flag_missing_parts(self, files: Collection[int]) -> None:
        """Flag masks of a concatenation of which not all parts are among the files that were placed."""
        numbers: dict[str, set[int]] = {}
        totals: dict[str, int] = {}
        for part in (one.mask.placed.part for masks in self._written.values() for one in masks if one.file in files):
            if part is not None:
                numbers.setdefault(part.concatenation, set()).add(part.number)
                totals[part.concatenation] = max(part.number, part.total, totals.get(part.concatenation, 0))
        lacking = {uid for uid, found in numbers.items() if len(found) < totals[uid]}
        for array, masks in self._written.items():
            self._written[array] = [_lacking(one) if _concatenation(one) in lacking else one for one in masks]

    def remove(self, file: int) -> None:
        """Remove the masks of a file."""
        for array, written in list(self._written.items()):
            for one in [one for one in written if one.file == file]:
                remove_tree(one.folder)
                written.remove(one)
            if not written:
                remove_tree(self._store / array.split("/")[1] / LABELS)
                del self._written[array]

    def finish(
        self, files: Sequence[MaskFile], images: Mapping[str, WrittenImage], vocabulary: Vocabulary
    ) -> SeriesMasks:
        """Name all masks, write their metadata, and return their records."""
        records: list[tuple[MaskRecord, MaskText]] = []
        groups: dict[str, FileClaim] = {}
        for array, written in sorted(self._written.items()):
            names = mask_folder_names([one.mask.placed.description for one in written], vocabulary)
            for number, (one, (mask, name)) in enumerate(zip(written, names, strict=True)):
                records.append(_named(array, one, mask, name, number, images[array]))
            shown = [record.mask for record, _ in records if record.array == array and "own_grid" not in record.flags]
            labels = self._store / array.split("/")[1] / LABELS
            for path, claim in write_masks.write_labels_group(labels, shown).items():
                groups[f"{array}/{LABELS}/{path}"] = FileClaim(*claim)
        records.sort(key=lambda pair: (pair[0].array, pair[0].mask))
        return SeriesMasks(
            files=tuple(files),
            masks=tuple(record for record, _ in records),
            texts=tuple(text for _, text in records),
            groups=groups,
        )


def _concatenation(written: _Written) -> str:
    """Return the UID of the concatenation that a mask is a part of, or an empty text."""
    part = written.mask.placed.part
    return part.concatenation if part else ""


def _lacking(written: _Written) -> _Written:
    """Return a mask with the flag that other parts are missing."""
    placed = written.mask.placed
    placed = dataclasses.replace(placed, flags=tuple(sorted({*placed.flags, "parts_missing"})))
    return written._replace(mask=written.mask._replace(placed=placed))


def _named(
    array: str, written: _Written, mask: str, name: str, number: int, image: WrittenImage
) -> tuple[MaskRecord, MaskText]:
    """Rename the folder of a mask, write its metadata, and return its record and its texts."""
    folder = written.folder.with_name(mask)
    os.rename(written.folder, folder)
    found, placed = written.mask, written.mask.placed
    description = placed.description
    code = known_code(description.codes)
    pair = (code.scheme, code.value) if code else None
    group = write_masks.write_mask_group(folder, found, name=name, number=number, code=pair, image=image.attributes)
    files = {f"{LABELS}/{mask}/{path}": FileClaim(*claim) for path, claim in sorted({**found.files, **group}.items())}
    record = MaskRecord(
        array=array,
        mask=mask,
        name=name,
        kind=description.kind,
        form=placed.form,
        algorithm=description.algorithm,
        axes=placed.axes,
        shape=found.shape,
        maximum_fraction=placed.maximum_fraction,
        voxels=found.voxels,
        largest=found.largest,
        volume_ml=_volume_ml(found, image.grid),
        bounding_box=found.box,
        slices=found.slices,
        outside=placed.outside,
        flags=placed.flags,
        counts=dict(sorted(placed.counts.items())),
        pixel_digest=found.pixel_digest,
        files=files,
    )
    codes = " ".join("%20".join(f"{code.scheme}:{code.value}".split()) for code in description.codes)
    return record, MaskText(array, mask, name, description.label, description.description, codes)


def _volume_ml(mask: WrittenMask, grid: ImageGrid) -> float | None:
    """Return the volume of a mask; None where a spacing is not known, or the mask changes along t."""
    placed = mask.placed
    if placed.own_affine_lps:
        voxel = abs(float(np.linalg.det(np.array(placed.own_affine_lps)[:3, :3])))
    elif {"z", "y", "x"} <= grid.spacing_mm.keys() and "own_grid" not in placed.flags:
        voxel = grid.spacing_mm["z"] * grid.spacing_mm["y"] * grid.spacing_mm["x"]
    else:
        return None
    if "t" in placed.axes:
        return None
    full = mask.total / placed.maximum_fraction if placed.maximum_fraction else mask.voxels
    return round(full * voxel / 1000, 6)
