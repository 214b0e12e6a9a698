"""The record of a series: the outcome of each source file, and the arrays that were written."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, NamedTuple, Self

from dicomzarr.records import record_file
from dicomzarr.records.mask_record import NO_MASKS, MaskFile, SeriesMasks
from dicomzarr.records.record_file import FileClaim, Record, file_claims
from dicomzarr.source.row import StatKey
from dicomzarr.system import files, json_files

# The `zarr.json` of a group without attributes.
GROUP = json_files.canonical_json({"zarr_format": 3, "node_type": "group", "attributes": {}})

OptionValue = str | float | Sequence[str]


def collection(images: Sequence[str]) -> bytes:
    """Return the `zarr.json` of a group that lists images: that of a series, or of `images.zarr`.

    Parameters
    ----------
    images : sequence of str
        Paths of the images below the group.

    Returns
    -------
    bytes
        The key `labels` is the one list of several images that ome-zarr-py follows: docs/decisions/0084.
    """
    attributes = {"ome": {"version": "0.5", "labels": list(images)}} if images else {}
    return json_files.canonical_json({"zarr_format": 3, "node_type": "group", "attributes": attributes})


class FrameRow(NamedTuple):
    """Position of a source frame in an array."""

    source: int  # index of its file in `SeriesRecord.files`
    number: int  # of the frame in that file, from 0
    t: int | None  # index along the axis; None where the array has no such axis
    z: int | None
    digest: str  # BLAKE3 of the values: C order, little-endian


class FileOutcome(NamedTuple):
    """Outcome of a source file of the series."""

    path: str  # percent-encoded as in manifest.csv
    stat: StatKey
    content: str  # BLAKE3 of its bytes, in hex
    outcome: str
    reason: str  # empty if it is extracted
    risk: str  # kind of risk, for `burned_in_risk` and `face_risk`
    found: int | None  # numbers that explain the reason, found and needed: bytes, frames, rows …
    needed: int | None


class OtherFile(NamedTuple):
    """A file of another series with a SOP Instance UID (0008,0018) that also occurs in this one."""

    path: str
    stat: StatKey
    content: str


class Disagreement(NamedTuple):
    """A frame for which two decoders gave different values."""

    content: str  # BLAKE3 of the bytes of its file
    digests: tuple[str, str]  # SHA-256 of the values from each decoder


Rows = Sequence[Sequence[object]]
# Three times faster than the constructors. Rows need no check: the record's digest and schema have been checked.
_frame_row: Callable[[Sequence[object]], FrameRow] = partial(tuple.__new__, FrameRow)


def _file_outcome(path: Any, stat: Any, *rest: Any) -> FileOutcome:
    return FileOutcome(path, tuple(stat), *rest)


@dataclasses.dataclass(frozen=True, slots=True)
class VolumeRecord:
    """Record of one array that extraction wrote.

    Attributes
    ----------
    array : str
        ``<series_id>/<volume_id>``, its path in `images.zarr`.
    kind, why : str
        Kind of array (see `volumes.model.Volume`), and why its frames form one volume.
    axes : str
        Those of ``tczyx`` that the array has, in this order.
    shape : tuple of int
        Sizes along the axes.
    dtype : str
        NumPy dtype of the values, little-endian.
    signed : bool
        Pixel Representation (0028,0103) is 1.
    spacing_mm : mapping of str to float
        By spatial axis; unknown spacings are left out.
    missing_slices : int
    flags : tuple of str
    frames_expected : int
        Number of frames that the array would have if no file had failed.
    declared_min, declared_max : int, optional
        Smallest (0028,0106) and Largest Image Pixel Value (0028,0107) over all frames.
    source_bytes, stored_bytes : int
        Total size of its source files, rounded up to whole kB of 1,000 bytes, and of its own files; bytes.
    pixel_digest : str
        BLAKE3 of the digests of its frames.
    modality, photometric : str
        From closed vocabularies.
    bits_allocated, bits_stored : int
    padding_value, padding_range_limit : int, optional
        Pixel Padding Value (0028,0120) and Pixel Padding Range Limit (0028,0121), if all files have the same.
    cross_checks : mapping of str to int
        Number of frames by outcome of the cross-check and second decoder.
    files : mapping of str to FileClaim
        By path below the array's folder.
    frame_rows : sequence
        The frames as JSON values; see `frames`.
    """

    array: str
    kind: str
    why: str
    axes: str
    shape: tuple[int, ...]
    dtype: str
    signed: bool
    spacing_mm: Mapping[str, float]
    missing_slices: int
    flags: tuple[str, ...]
    frames_expected: int
    declared_min: int | None
    declared_max: int | None
    source_bytes: int
    stored_bytes: int
    pixel_digest: str
    modality: str
    photometric: str
    bits_allocated: int
    bits_stored: int
    padding_value: int | None
    padding_range_limit: int | None
    cross_checks: Mapping[str, int]
    files: Mapping[str, FileClaim]
    frame_rows: Rows

    @property
    def frames(self) -> tuple[FrameRow, ...]:
        """Every frame, in array order. Computed at each use: most readers of a record need none of them."""
        return tuple(map(_frame_row, self.frame_rows))

    @classmethod
    def from_json(cls, raw: Any) -> Self:
        """Return a volume from the JSON values of its fields."""
        raw["shape"], raw["flags"] = tuple(raw["shape"]), tuple(raw["flags"])
        raw["files"] = file_claims(raw["files"])
        return cls(**raw)


@dataclasses.dataclass(frozen=True, slots=True)
class SeriesRecord(Record):
    """Record of the extraction of a series.

    Attributes
    ----------
    series_id, study_id, subject_id : str
        Keyed ids.
    flags : tuple of str
        Codes of `SERIES_FLAGS`.
    options : mapping of str to str, number or list of str
        Configuration, code digest and software versions of the extraction.
    fingerprint : str
        Digest of everything that the arrays and masks depend on.
    file_rows : sequence
        The source files as JSON values; see `files`.
    volumes : tuple of VolumeRecord
        Sorted by array.
    disagreement : Disagreement, optional
    image_fingerprint : str
        Digest of everything that the arrays depend on, without the masks.
    masks : SeriesMasks
    plan_digest : str
        Digest of the series in the plan, with the options.
    same_uid_elsewhere : tuple of OtherFile
    limits : tuple of int
        Limits of time and memory, if an outcome depends on them; else empty.
    failed : bool
        The extraction itself failed: it is retried whenever its batch has work.
    looked : mapping
        Who looked for text in the pixels: detector, its code, thresholds, `allow_short`, number of frames; or empty.
    text : mapping of str to sequence
        By content of a file that was set aside: number of the frame (-1: what does not move), top, left, bottom,
        right in pixels, and what found it.
    """

    SCHEMA: ClassVar[int] = 3

    series_id: str
    study_id: str
    subject_id: str
    flags: tuple[str, ...]
    options: Mapping[str, OptionValue]
    fingerprint: str
    file_rows: Rows
    volumes: tuple[VolumeRecord, ...]
    disagreement: Disagreement | None = None
    image_fingerprint: str = ""
    masks: SeriesMasks = NO_MASKS
    plan_digest: str = ""
    same_uid_elsewhere: tuple[OtherFile, ...] = ()
    limits: tuple[int, ...] = ()
    failed: bool = False
    looked: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    text: Mapping[str, Rows] = dataclasses.field(default_factory=dict)

    @property
    def files(self) -> tuple[FileOutcome, ...]:
        """The source files, sorted by content, so that nothing depends on paths. Computed at each use."""
        return tuple([_file_outcome(*row) for row in self.file_rows])

    def group(self) -> bytes:
        """Return the `zarr.json` of the group of the series."""
        return collection([volume.array.split("/")[1] for volume in self.volumes])

    def claimed_files(self) -> dict[str, FileClaim]:
        """Return the claims on the files of the series, by path below `images.zarr`."""
        group = self.group()
        path = f"{self.series_id}/zarr.json"
        claims = {path: FileClaim(len(group), files.sha256_of_bytes(group))} if self.volumes else {}
        for volume in self.volumes:
            claims.update({f"{volume.array}/{path}": claim for path, claim in volume.files.items()})
        return claims | self.masks.claimed_files()

    def read_files(self) -> list[FileOutcome | OtherFile | MaskFile]:
        """Return the source files that its extraction read: its own, and those of other series."""
        return [*self.files, *self.same_uid_elsewhere, *self.masks.files]

    def to_json(self) -> dict[str, object]:
        """Return the fields as JSON values."""
        volumes = [record_file.fields_of(volume) for volume in self.volumes]
        return {**record_file.fields_of(self), "volumes": volumes, "masks": self.masks.to_json()}

    @classmethod
    def from_json(cls, raw: Any) -> Self:
        """Return a record from the JSON values of its fields; errors as in `Record`."""
        raw["flags"], raw["limits"] = tuple(raw["flags"]), tuple(raw["limits"])
        raw["masks"] = SeriesMasks.from_json(raw["masks"])
        raw["volumes"] = tuple(map(VolumeRecord.from_json, raw["volumes"]))
        raw["same_uid_elsewhere"] = tuple(
            [OtherFile(path, tuple(stat), content) for path, stat, content in raw["same_uid_elsewhere"]]
        )
        if raw["disagreement"]:
            content, (first, second) = raw["disagreement"]
            raw["disagreement"] = Disagreement(content, (first, second))
        return cls(**raw)
