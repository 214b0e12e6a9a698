"""To which images of a series each frame of a segmentation belongs."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

from dicomzarr.masks.frame_places import FrameLocation, FramesOfImage
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
    segmentation: Segmentation,
    grids: Sequence[ImageGrid],
    *,
    by_frame_of_reference: bool,
    instances: Mapping[str, bool],
) -> list[dict[int, FrameLocation]]:
    """Return which frames belong to which image, and where they lie in it.

    A frame belongs to the image that holds the frames it refers to; of several such images, to those on whose voxels it
    lies. A frame without references belongs to the one image on whose voxels it lies, else to the image of the other
    frames of its stack. So does a frame with references in a file that names no instance of the series: they may be
    stale. In another file, a frame that refers to images that are not there, of another series or lost, is outside of
    the image of its stack that has no voxels there; if there is none, it belongs to no image.

    Parameters
    ----------
    segmentation : Segmentation
    grids : sequence of ImageGrid
        Images that may be meant, such as the arrays of one series.
    by_frame_of_reference : bool
        The file refers to none of the images: all frames must lie on voxels of one image, in the same frame of
        reference.
    instances : mapping of str to bool
        SOP Instance UIDs of all files of the series, also of those that are not extracted: whether the image is in one
        of the grids, perhaps from a copy under another UID.

    Returns
    -------
    list of dict of int to FrameLocation
        One for each grid: by frame of the segmentation. Frames of other series, and some of lost images, are in none.

    Raises
    ------
    MaskProblem
        ``no_image``, ``ambiguous_volume`` or ``no_position``; ``invalid_attribute`` if the number of rows of all frames
        is that of columns of the image, and the other way round.
    """
    images = [FramesOfImage(segmentation, grid) for grid in grids]
    members: list[dict[int, FrameLocation]] = [{} for _ in images]
    pending: dict[int, list[int]] = {}  # images on whose voxels a frame lies, if none or several
    absent: list[int] = []  # frames that refer to images that are not there
    candidates = _candidates(images, by_frame_of_reference)
    own = {*instances, *(uid for grid in grids for uid, _ in grid.frames)}
    named = {*segmentation.instances, *(uid for frame in segmentation.frames for uid, _ in frame.sources)}
    is_named = not by_frame_of_reference and not own.isdisjoint(named)
    for index, frame in enumerate(segmentation.frames):
        referenced = [number for number, image in enumerate(images) if image.references(frame).number]
        if len(referenced) > 1:
            most = max(referenced, key=lambda number: images[number].references(frame).number)
            referenced = [number for number in referenced if images[number].locate(frame).touches] or [most]
        if referenced and not by_frame_of_reference:
            for number in referenced:
                members[number][index] = images[number].locate(frame)
            continue
        if is_named and frame.sources and not any(instances.get(uid) for uid, _ in frame.sources):
            absent.append(index)
            continue
        fitting = [number for number in candidates if _fits(images[number].locate(frame), by_frame_of_reference)]
        if len(fitting) == 1:
            members[fitting[0]][index] = images[fitting[0]].locate(frame)
        else:
            pending[index] = fitting
    count = len(segmentation.frames)
    if by_frame_of_reference and not all(pending.values()):
        raise MaskProblem("no_image", found=count - len(pending), needed=count)
    _settle(segmentation, images, members, pending, candidates)
    _settle_absent(segmentation, images, members, absent)
    if not any(members):
        raise MaskProblem("no_image", found=0, needed=count)
    unknown = sum(location.is_unknown for locations in members for location in locations.values())
    if unknown:
        raise MaskProblem("no_position", found=count - unknown, needed=count)
    inside = [location for locations in members for location in locations.values() if not location.is_outside]
    if inside and all(location.is_turned for location in inside):
        raise MaskProblem("invalid_attribute")  # Rows and Columns are exchanged: lines of pixels would be cut elsewhere
    return members


def _settle_absent(
    segmentation: Segmentation,
    images: Sequence[FramesOfImage],
    members: list[dict[int, FrameLocation]],
    absent: Sequence[int],
) -> None:
    """Add frames of images that are not there to an image with frames of their stack, where it has no voxels."""
    planes = [{plane_of(segmentation.frames[index]) for index in locations} for locations in members]
    for index in absent:
        frame = segmentation.frames[index]
        for number, image in enumerate(images):
            if plane_of(frame) in planes[number] and (location := image.locate(frame)).is_outside:
                members[number][index] = location
                break


def _candidates(images: Sequence[FramesOfImage], by_frame_of_reference: bool) -> list[int]:
    """Return the images to which a frame without a reference may belong."""
    if by_frame_of_reference:
        return [
            number
            for number, image in enumerate(images)
            if image.same_space and image.grid.frame_of_reference and image.segmentation.frame_of_reference
        ]
    referenced = [number for number, image in enumerate(images) if image.holds_instances()]
    return referenced or [number for number, image in enumerate(images) if image.same_space]


def _fits(location: FrameLocation, is_whole: bool) -> bool:
    return location.is_inside if is_whole else location.touches


def _settle(
    segmentation: Segmentation,
    images: Sequence[FramesOfImage],
    members: list[dict[int, FrameLocation]],
    pending: dict[int, list[int]],
    candidates: Sequence[int],
) -> None:
    """Add the frames that lie on voxels of no image, or of several, to the image of the other frames of their stack."""
    images_of_stack: dict[Hashable, set[int]] = {}
    for number, locations in enumerate(members):
        for index in locations:
            images_of_stack.setdefault(plane_of(segmentation.frames[index]), set()).add(number)
    for index, fitting in pending.items():
        frame = segmentation.frames[index]
        of_stack = images_of_stack.get(plane_of(frame), set())
        choice = [number for number in fitting if number in of_stack] or fitting
        if not fitting:
            choice = sorted(of_stack) or list(candidates)
            if len(choice) > 1:
                choice = [number for number in choice if images[number].locate(frame).is_outside] or choice
        if len(choice) != 1:
            raise MaskProblem("ambiguous_volume" if choice else "no_image", found=len(choice), needed=1)
        members[choice[0]][index] = images[choice[0]].locate(frame)
