"""To which images of a series each frame of a segmentation belongs."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from dicomzarr.masks.frame_places import Found, FramesOfImage
from dicomzarr.masks.grid import ImageGrid
from dicomzarr.masks.model import MaskProblem
from dicomzarr.masks.segmentation import Segmentation, SegmentFrame


def plane_of(frame: SegmentFrame) -> Hashable:
    """Return what frames of one stack share: orientation and spacing, None where there are none.

    Parameters
    ----------
    frame : SegmentFrame

    Returns
    -------
    hashable
    """
    if frame.orientation is None or frame.spacing is None or frame.position is None:
        return None
    return (*(round(cosine, 4) for cosine in frame.orientation), *(round(part, 4) for part in frame.spacing))


def belongs_to(
    segmentation: Segmentation, grids: Sequence[ImageGrid], *, by_frame_of_reference: bool = False
) -> list[dict[int, Found]]:
    """Return which frames belong to which image, and where they lie in it.

    A frame belongs to the image that holds the frames it refers to; of several such images, to those on whose voxels it
    lies. A frame that refers to none of them belongs to the one image on whose voxels it lies, else to the image of the
    other frames of its stack.

    Parameters
    ----------
    segmentation : Segmentation
    grids : sequence of ImageGrid
        Images that may be meant, such as the arrays of one series.
    by_frame_of_reference : bool
        The file refers to none of the images: all frames must lie on voxels of one image, in the same frame of
        reference.

    Returns
    -------
    list of dict of int to Found
        One for each grid: by frame of the segmentation. Each frame is in one at least.

    Raises
    ------
    MaskProblem
        ``no_image``, ``ambiguous_volume`` or ``no_position``.
    """
    images = [FramesOfImage(segmentation, grid) for grid in grids]
    homes: list[dict[int, Found]] = [{} for _ in images]
    pending: dict[int, list[int]] = {}  # images on whose voxels a frame lies, if none or several
    candidates = _candidates(images, by_frame_of_reference)
    for index, frame in enumerate(segmentation.frames):
        named = [number for number, image in enumerate(images) if image.named(frame)]
        if len(named) > 1:
            found = {number: images[number].find(frame) for number in named}
            most = max(named, key=lambda number: len(images[number].named(frame)))
            named = [number for number in named if found[number].touches] or [most]
        if named and not by_frame_of_reference:
            for number in named:
                homes[number][index] = images[number].find(frame)
            continue
        fitting = [number for number in candidates if _fits(images[number].find(frame), by_frame_of_reference)]
        if len(fitting) == 1:
            homes[fitting[0]][index] = images[fitting[0]].find(frame)
        else:
            pending[index] = fitting
    if by_frame_of_reference and any(not fitting for fitting in pending.values()):
        raise MaskProblem("no_image", found=len(segmentation.frames) - len(pending), needed=len(segmentation.frames))
    _settle(segmentation, images, homes, pending, candidates)
    unknown = sum(found.is_unknown for home in homes for found in home.values())
    if unknown:
        raise MaskProblem("no_position", found=len(segmentation.frames) - unknown, needed=len(segmentation.frames))
    return homes


def _candidates(images: Sequence[FramesOfImage], by_frame_of_reference: bool) -> list[int]:
    """Return the images to which a frame without a reference may belong."""
    if by_frame_of_reference:
        return [
            number
            for number, image in enumerate(images)
            if image.same_space and image.grid.frame_of_reference and image.segmentation.frame_of_reference
        ]
    held = [number for number, image in enumerate(images) if image.holds_instances()]
    return held or [number for number, image in enumerate(images) if image.same_space]


def _fits(found: Found, whole: bool) -> bool:
    return found.is_inside if whole else found.touches


def _settle(
    segmentation: Segmentation,
    images: Sequence[FramesOfImage],
    homes: list[dict[int, Found]],
    pending: dict[int, list[int]],
    candidates: Sequence[int],
) -> None:
    """Find the image of frames that lie on voxels of none, or of several: that of the other frames of their stack."""
    stacks = {index: plane_of(segmentation.frames[index]) for home in homes for index in home}
    of_stack: dict[Hashable, set[int]] = {}
    for number, home in enumerate(homes):
        for index in home:
            of_stack.setdefault(stacks[index], set()).add(number)
    for index, fitting in pending.items():
        frame = segmentation.frames[index]
        known = of_stack.get(plane_of(frame), set())
        choice = [number for number in fitting if number in known] or fitting
        if not fitting:
            choice = sorted(known) or list(candidates)
            if len(choice) > 1:
                choice = [number for number in choice if images[number].find(frame).is_outside] or choice
        if len(choice) != 1:
            raise MaskProblem("ambiguous_volume" if choice else "no_image", found=len(choice), needed=1)
        homes[choice[0]][index] = images[choice[0]].find(frame)
