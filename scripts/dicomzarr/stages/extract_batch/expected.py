"""How many frames each volume of a series would have if no file had failed: one image per SOP Instance UID."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from dicomzarr.stages.extract_batch.series_files import SourceFile
from dicomzarr.volumes import stacking
from dicomzarr.volumes.as_stored import is_projection
from dicomzarr.volumes.frames import frames_of, needs_header
from dicomzarr.volumes.grouping import ORIENTATION_TOLERANCE
from dicomzarr.volumes.image_type import kind_of_image
from dicomzarr.volumes.model import Frame, Volume

# Reasons that do not make a volume incomplete: the frame is in it already, or is left out on purpose.
DELIBERATE = frozenset({"duplicate", "burned_in_risk", "text_in_pixels", "face_risk"})

Name = tuple[str, ...]  # discriminators of a volume


@dataclass(frozen=True, slots=True)
class Expected:
    """Frames that the volumes of a series would have if no file had failed.

    Attributes
    ----------
    frames : mapping of tuple of str to int
        By the discriminators of the volume.
    lost_elsewhere : int
        Frames that belong to none of these volumes: they would be arrays of their own.
    """

    frames: Mapping[Name, int]
    lost_elsewhere: int = 0


def expected_frames(volumes: Sequence[Volume], files: Sequence[SourceFile], tolerance: float) -> Expected:
    """Return how many frames each volume would have if no file had failed.

    A lost image is a SOP Instance UID of which no file was extracted, for whatever reason; it counts once, however many
    files it has. It counts for the volume that it would join. Where its place is not known, or is one that a slice of
    the volume has already, it counts for the largest stack that it may belong to.

    Parameters
    ----------
    volumes : sequence of Volume
        Of the files that have no reason.
    files : sequence of SourceFile
    tolerance : float
        As of `stacking.lay_out`.

    Returns
    -------
    Expected
    """
    frames = Counter({volume.discriminators: len(volume.places) for volume in volumes})
    lost = _lost_images(files, volumes)
    if not lost or not volumes:
        return Expected(frames)
    frames_of_file = {id(file): file.frames or _frames_like(volumes, file, files) for file in lost}
    known = [frame for file in lost for frame in frames_of_file[id(file)]]
    joined, left = _joined(volumes, known, tolerance)
    frames.update(joined)
    elsewhere = 0
    for frame in left:
        name = _largest(volume for volume in volumes if _resembles(frame, volume))
        frames.update({name: 1} if name else ())
        elsewhere += name is None
    for file in lost:
        if not frames_of_file[id(file)]:
            name = _largest(volume for volume in volumes if _may_hold(volume, file))
            number = _declared_frames(file)
            frames.update({name: number} if name else ())
            elsewhere += 0 if name else number
    return Expected(frames, elsewhere)


def _lost_images(files: Sequence[SourceFile], volumes: Sequence[Volume]) -> list[SourceFile]:
    """Return one file for each SOP Instance UID of which no file was extracted, though not on purpose."""
    groups: dict[str, list[SourceFile]] = defaultdict(list)
    for file in files:
        if file.own:
            groups[file.instance].append(file)
    lost = []
    for members in groups.values():
        failed = [file for file in members if file.reason and file.reason not in DELIBERATE]
        if failed and all(file.reason for file in members):
            # Twins may have different headers: that of the image which fits a volume counts.
            lost.append(min(failed, key=lambda file: (_misfit(file, volumes), file.content)))
    return lost


def _misfit(file: SourceFile, volumes: Sequence[Volume]) -> int:
    """Return 0 for a file whose first frame resembles a volume, 1 for another with frames, else 2."""
    if not file.frames:
        return 2
    return 0 if any(_resembles(file.frames[0], volume) for volume in volumes) else 1


def _joined(volumes: Sequence[Volume], lost: Sequence[Frame], tolerance: float) -> tuple[Counter[Name], list[Frame]]:
    """Lay out a series with its lost frames; return their number by the volume they join, and those that join none."""
    owner = {_key(place.frame): volume.discriminators for volume in volumes for place in volume.places}
    joined: Counter[Name] = Counter()
    left: list[Frame] = []
    everything = [*(place.frame for volume in volumes for place in volume.places), *lost]
    for complete in stacking.lay_out(everything, tolerance=tolerance):
        # A lost frame may complete a grid of several volumes: it counts for the one with its index t, if there is one.
        owners: dict[int | None, Counter[Name]] = defaultdict(Counter)
        for place in complete.places:
            if name := owner.get(_key(place.frame)):
                owners[place.t][name] += 1
        all_owners = sum(owners.values(), Counter[Name]())
        for place in complete.places:
            if _key(place.frame) in owner:
                continue
            nearest = owners.get(place.t) or all_owners
            if nearest:
                joined[min(nearest, key=lambda name: (-nearest[name], name))] += 1
            else:
                left.append(place.frame)
    return joined, left


def _key(frame: Frame) -> tuple[int, int]:
    return (frame.source, frame.number)


def _is_stack(volume: Volume) -> bool:
    """Return whether a volume is made of single images, of which there may be any number."""
    frames = [place.frame for place in volume.places]
    if any(a.source != b.source for a, b in pairwise(frames)):
        return True
    return _is_slice(frames[0])


def _is_slice(frame: Frame) -> bool:
    """Return whether a frame is a single image in patient space."""
    in_space = frame.position is not None and frame.orientation is not None
    return in_space and frame.frames_in_file == 1 and not is_projection(frame)


def _resembles(frame: Frame, volume: Volume) -> bool:
    """Return whether a slice could be one of a stack, as far as its kind and its plane say."""
    other = volume.places[0].frame
    if not (_is_slice(frame) and _is_slice(other) and _kind(frame) == _kind(other)):
        return False
    cosines = zip(frame.orientation or (), other.orientation or (), strict=False)
    return all(abs(a - b) <= ORIENTATION_TOLERANCE for a, b in cosines)


def _kind(frame: Frame) -> tuple[object, ...]:
    kind = kind_of_image(frame.image_type, frame.sop_class_uid)
    return (kind, frame.rows, frame.columns, frame.samples, frame.dtype, frame.kernel, dict(frame.terms))


def _frames_like(volumes: Sequence[Volume], file: SourceFile, files: Sequence[SourceFile]) -> list[Frame]:
    """Return the frame of a file whose header ends after its position, in the pixel format of the largest stack."""
    facts = file.row["facts"]
    if not ("ImagePositionPatient" in facts and "ImageOrientationPatient" in facts) or needs_header(facts):
        return []
    stacks = [volume for volume in volumes if _is_slice(volume.places[0].frame) and _may_hold(volume, file)]
    name = _largest(stacks)
    like = next((volume.places[0].frame for volume in stacks if volume.discriminators == name), None)
    form = files[like.source].format if like else None
    if like is None or form is None:
        return []
    source = next(number for number, other in enumerate(files) if other is file)
    frames = frames_of(source, file.content, facts, form)
    return [replace(frame, pixel_spacing=frame.pixel_spacing or like.pixel_spacing) for frame in frames]


def _may_hold(volume: Volume, file: SourceFile) -> bool:
    """Return whether a file whose header tells no place may belong to a stack."""
    facts, frame = file.row["facts"], volume.places[0].frame
    size = (facts.get("Rows", frame.rows), facts.get("Columns", frame.columns))
    return _is_stack(volume) and size == (frame.rows, frame.columns)


def _largest(volumes: Iterable[Volume]) -> Name | None:
    """Return the name of the volume with most frames; None if there is no volume."""
    ordered = sorted(volumes, key=lambda volume: (-len(volume.places), volume.discriminators))
    return ordered[0].discriminators if ordered else None


def _declared_frames(file: SourceFile) -> int:
    """Return Number of Frames (0028,0008) of a file that cannot be read, if it is possible; else 1."""
    number = file.row["facts"].get("NumberOfFrames", 1)
    return number if 1 <= number <= file.row["stat"][0] else 1
