"""Records of masks: those that were placed on an image, and the files that they come from."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self

from dicomzarr.records.record_file import FileClaim, file_claims
from dicomzarr.source.row import StatKey


class MaskFile(NamedTuple):
    """A segmentation or structure set that refers to a series, and what became of it there."""

    path: str  # percent-encoded as in manifest.csv
    stat: StatKey
    content: str  # BLAKE3 of its bytes, in hex
    kind: str  # SEG or RTSTRUCT
    reason: str  # empty if a mask of it was placed; else mask_without_image, mask_ambiguous or mask_unreadable
    problem: str  # code of `vocabulary.mask_problems` or `vocabulary.reasons` that explains the reason; else empty
    masks: int  # that were placed
    failed: int  # segments or regions of interest that could not be read or placed
    elsewhere: tuple[int, ...] = ()  # numbers of those that were drawn on another series alone, if masks were placed
    not_absent: tuple[str, ...] = ()  # names of those that may lie on another series, or in another file


def _mask_file(raw: Sequence[Any]) -> MaskFile:
    """Return a file from the JSON values of its fields."""
    path, stat, content, kind, reason, problem, masks, failed, elsewhere, not_absent = raw
    return MaskFile(
        path, tuple(stat), content, kind, reason, problem, masks, failed, tuple(elsewhere), tuple(not_absent)
    )


class MaskText(NamedTuple):
    """What the file says of a mask: free texts, which stay in the private tree."""

    array: str  # of the image
    mask: str
    name: str
    label: str
    description: str
    codes: str  # scheme:value, joined by a space; a space in one of them is %20


@dataclasses.dataclass(frozen=True, slots=True)
class MaskRecord:
    """Record of one mask.

    Attributes
    ----------
    array : str
        ``<series_id>/<volume_id>`` of the image.
    mask, name : str
        Its folder below `labels`, and its name in the vocabulary.
    kind, form, algorithm : str
        See `masks.model`.
    axes : str
    shape : tuple of int
    maximum_fraction : int, optional
    voxels : int
        Values that are not 0.
    largest : int
        Largest value.
    volume_ml : float, optional
        Of the voxels, a fractional one by its fraction; None where the spacing is not known.
    bounding_box : sequence of (int, int)
        Half-open range along each axis; empty without voxels.
    slices : int
        Slices with voxels.
    outside : float
        Share of the structure outside of the image.
    flags : tuple of str
    counts : mapping of str to int
    pixel_digest : str
        BLAKE3 of the digests of its planes.
    files : mapping of str to FileClaim
        By path below the folder of the image.
    """

    array: str
    mask: str
    name: str
    kind: str
    form: str
    algorithm: str
    axes: str
    shape: tuple[int, ...]
    maximum_fraction: int | None
    voxels: int
    largest: int
    volume_ml: float | None
    bounding_box: Sequence[Sequence[int]]
    slices: int
    outside: float
    flags: tuple[str, ...]
    counts: Mapping[str, int]
    pixel_digest: str
    files: Mapping[str, FileClaim]

    @property
    def stored_bytes(self) -> int:
        """Total size of its files."""
        return sum(claim.size for claim in self.files.values())

    @classmethod
    def from_json(cls, raw: Any) -> Self:
        """Return a mask from the JSON values of its fields."""
        raw["shape"], raw["flags"] = tuple(raw["shape"]), tuple(raw["flags"])
        raw["files"] = file_claims(raw["files"])
        return cls(**raw)


@dataclasses.dataclass(frozen=True, slots=True)
class SeriesMasks:
    """The masks on the images of a series.

    Attributes
    ----------
    files : tuple of MaskFile
        Sorted by content.
    masks : tuple of MaskRecord
        Sorted by array and mask.
    texts : tuple of MaskText
        One per mask, in this order.
    groups : mapping of str to FileClaim
        The metadata of each group `labels`, by path below `images.zarr`.
    """

    files: tuple[MaskFile, ...] = ()
    masks: tuple[MaskRecord, ...] = ()
    texts: tuple[MaskText, ...] = ()
    groups: Mapping[str, FileClaim] = dataclasses.field(default_factory=dict)

    def claimed_files(self) -> dict[str, FileClaim]:
        """Return the claims on the files of the masks, by path below `images.zarr`."""
        claims = dict(self.groups)
        for mask in self.masks:
            claims.update({f"{mask.array}/{path}": claim for path, claim in mask.files.items()})
        return claims

    def of_array(self, array: str) -> list[MaskRecord]:
        """Return the masks of an image."""
        return [mask for mask in self.masks if mask.array == array]

    def to_json(self) -> dict[str, object]:
        """Return the fields as JSON values."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)} | {
            "masks": [
                {field.name: getattr(mask, field.name) for field in dataclasses.fields(mask)} for mask in self.masks
            ]
        }

    @classmethod
    def from_json(cls, raw: Any) -> Self:
        """Return the masks from what `to_json` returned."""
        return cls(
            files=tuple(map(_mask_file, raw["files"])),
            masks=tuple(map(MaskRecord.from_json, raw["masks"])),
            texts=tuple([MaskText(*row) for row in raw["texts"]]),
            groups=file_claims(raw["groups"]),
        )


NO_MASKS = SeriesMasks()
