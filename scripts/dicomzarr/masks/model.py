"""What a segmentation or a structure set says of one mask, and the mask once it is placed on a grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Kind = Literal["SEG", "RTSTRUCT"]
# Segment Algorithm Type (0062,0008), or ROI Generation Algorithm (3006,0036), from a closed vocabulary.
Algorithm = Literal["manual", "semi-automatic", "automatic", ""]


@dataclass(frozen=True, slots=True)
class Code:
    """A coded concept (PS3.3 8.8), such as SCT 10200004 for the liver.

    Attributes
    ----------
    scheme : str
        Coding Scheme Designator (0008,0102); SRT and SNM3 stay as written.
    value : str
        Code Value (0008,0100).
    """

    scheme: str
    value: str


@dataclass(frozen=True, slots=True)
class Description:
    """One segment or region of interest as its file describes it. Texts may identify a person: private tree only.

    Attributes
    ----------
    kind : str
        ``SEG`` or ``RTSTRUCT``.
    number : int
        Segment Number (0062,0004) or ROI Number (3006,0022).
    label : str
        Segment Label (0062,0005) or ROI Name (3006,0026).
    description : str
        Segment Description (0062,0006), or ROI Observation Label (3006,0085), or empty.
    algorithm : str
        ``manual``, ``semi-automatic``, ``automatic``; empty if unknown.
    codes : tuple of Code
        Segmented Property Type (0062,000F) or RT ROI Identification (3006,0086), the most specific first, then
        Anatomic Region and Segmented Property Category. Modifiers, such as left and right, follow what they modify.
    """

    kind: Kind
    number: int
    label: str = ""
    description: str = ""
    algorithm: Algorithm = ""
    codes: tuple[Code, ...] = ()


@dataclass(frozen=True, slots=True)
class Part:
    """The place of a file in a concatenation, several files that are one segmentation (PS3.3 C.7.6.16.1).

    Attributes
    ----------
    concatenation : str
        Concatenation UID (0020,9161).
    number, total : int
        In-concatenation Number (0020,9162), and Total Number (0020,9163); 0 where unknown.
    """

    concatenation: str
    number: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True)
class PlacedMask:
    """A mask on a grid.

    Attributes
    ----------
    description : Description
    values : ndarray of uint8
        Along `axes`. 0 is background. 1 is the structure, or 1 to `maximum_fraction` of a fractional segmentation.
    axes : str
        Those of ``tzyx`` that it has; without t it holds for every t of its image.
    form : str
        ``BINARY``, ``LABELMAP``, ``PROBABILITY`` or ``OCCUPANCY`` (Segmentation Fractional Type), ``CLOSED_PLANAR``.
    maximum_fraction : int, optional
        Maximum Fractional Value (0062,000E) of a fractional segmentation.
    outside : float
        Share of the structure that lies outside of the image and is not in `values`, 0 to 1: of the voxels of a
        segmentation, of the voxels that contours would fill if the image's grid went on.
    flags : tuple of str
        Codes of `MASK_FLAGS`, sorted.
    counts : mapping of str to int
        What was found, by fixed names, such as ``contours`` and ``contours_between_slices``.
    own_affine_lps : tuple of 4 tuples of 4 float, optional
        Index (x, y, z, 1) to LPS, mm, of a mask that is kept on its own grid; None if it is on that of its image.
    part : Part, optional
        Of the file that it comes from.
    """

    description: Description
    values: NDArray[np.uint8]
    axes: str
    form: str
    maximum_fraction: int | None = None
    outside: float = 0.0
    flags: tuple[str, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    own_affine_lps: tuple[tuple[float, ...], ...] | None = None
    part: Part | None = None


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A segment or region that has no mask on the images of a series, and is not absent from them.

    Attributes
    ----------
    description : Description
    is_drawn : bool
        Its frames or contours belong to another series. Else they may be in another part of the segmentation.
    problem : str
        Code of `MASK_PROBLEMS`: why it has no mask there; empty for another part of the segmentation.
    """

    description: Description
    is_drawn: bool = True
    problem: str = ""


class MaskProblem(Exception):
    """A segmentation or structure set, or one mask of it, cannot be used; its text is a fixed code and numbers.

    Parameters
    ----------
    code : str
        A code of `vocabulary.mask_problems.MASK_PROBLEMS`.
    found, needed : int, optional
        Numbers that explain it. Never a value copied from free text.
    """

    def __init__(self, code: str, *, found: int | None = None, needed: int | None = None) -> None:
        super().__init__(code if found is None else f"{code} (found {found}, needed {needed})")
        self.code = code
        self.found = found
        self.needed = needed


def bounding_box(values: NDArray[Any]) -> tuple[tuple[int, int], ...]:
    """Return the half-open range of the non-zero values along each axis; empty if there is none.

    Parameters
    ----------
    values : ndarray

    Returns
    -------
    tuple of (int, int)
        First index and the index after the last, by axis.
    """
    ranges = []
    for axis in range(values.ndim):
        others = tuple(other for other in range(values.ndim) if other != axis)
        found = np.flatnonzero(values.any(axis=others))
        if not len(found):
            return ()
        ranges.append((int(found[0]), int(found[-1]) + 1))
    return tuple(ranges)
