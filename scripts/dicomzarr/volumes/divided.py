"""Groups of frames that are pieces of one stack, and are arrays of their own all the same: they are flagged."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from dicomzarr.volumes import geometry
from dicomzarr.volumes.acquisition import classes_of
from dicomzarr.volumes.clocks import with_comparable_clocks
from dicomzarr.volumes.image_type import KindOfImage, kind_of_image
from dicomzarr.volumes.model import Frame
from dicomzarr.volumes.numbering import with_numbers
from dicomzarr.volumes.pieces import doubts_of
from dicomzarr.volumes.slices import depth
from dicomzarr.volumes.stacks import Stack, arrange
from dicomzarr.volumes.t_axis import BY_NAME, is_weak

AXIAL: Final = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
_COMPONENTS: Final = ("complex_component", "image_component")  # terms that Image Type and its kin name
_DOUBTS: Final = 4  # of `doubts_of`: frames of no stack, uneven, single and missing slices


class GroupKey(NamedTuple):
    """What separates frames: those of one group have it in common."""

    orientation: int  # number of the cluster
    size: int  # number of the pixel spacing; -1 where it is unknown
    kind: KindOfImage
    rows: int
    columns: int
    samples: int
    dtype: str
    photometric: str
    kernel: str
    terms: tuple[tuple[str, str], ...]
    tables: tuple[tuple[str, str], ...]


def arranged(frames: Sequence[Frame], tolerance: float) -> list[list[Stack]]:
    """Return the stacks of each class of facts.

    Parameters
    ----------
    frames : sequence of Frame
    tolerance : float
        Largest departure of slices from a regular grid, relative to their distance.

    Returns
    -------
    list of list of Stack
    """
    return [arrange(members, tolerance) for members in classes_of(frames).values()]


def is_certain(stacks: Sequence[Stack]) -> bool:
    """Return whether more than a counter distinguishes frames at the same position.

    Parameters
    ----------
    stacks : sequence of Stack

    Returns
    -------
    bool
    """
    return not any(
        stack.is_doubtful
        or (stack.sorted_by and not any(says_what_varies(cause, stack.frames) for cause in stack.sorted_by))
        for stack in stacks
    )


def says_what_varies(cause: str, frames: Iterable[Frame]) -> bool:
    """Return whether what frames were sorted by says what varies, and not only an order.

    Parameters
    ----------
    cause : str
    frames : iterable of Frame

    Returns
    -------
    bool
    """
    return cause in BY_NAME and not is_weak(cause, frames)


def with_pieces_flagged(members: dict[GroupKey, list[Frame]], tolerance: float) -> dict[GroupKey, list[Frame]]:
    """Flag frames that are pieces of one stack, and are in different groups all the same.

    Some scanners choose Bits Allocated (0028,0100) for each image by its largest value: dark slices at the ends of a
    volume have 8 bits. Programs derive single slices from others, mirror or rotate them, or leave out an attribute.
    Each piece stays an array of its own.

    Parameters
    ----------
    members : dict of GroupKey to list of Frame
        The groups of a series.
    tolerance : float
        Largest departure of slices from a regular grid, relative to their distance.

    Returns
    -------
    dict of GroupKey to list of Frame
        The same, with the flag `stack_divided` where it holds.
    """
    found = dict(members)
    for family in _FAMILIES:
        families: dict[Hashable, list[GroupKey]] = {}
        for key, frames in members.items():
            families.setdefault(family.alike(key, frames[0]), []).append(key)
        for keys in (keys for alike in families.values() for keys in family.sets(alike)):
            parts = [members[key] for key in keys]
            if family.alike is _but_turned:
                parts = [_as_if_not_turned(part, parts[0][0]) for part in parts]
            if all(_is_grey(part[0]) for part in parts):
                for index in _pieces(parts, tolerance, family.must_be_worse):
                    found[keys[index]] = [flagged(frame, "stack_divided") for frame in found[keys[index]]]
    return found


@dataclass(frozen=True, slots=True)
class _Family:
    """What may differ between pieces of one stack.

    Attributes
    ----------
    alike : callable
        Returns what the pieces have in common.
    must_be_worse : bool
        Each piece has doubts by itself; whole stacks that follow each other are none.
    lacks : callable, optional
        Whether a group lacks the attribute that another one has: it may be a piece of it.
    may_differ : bool
        Groups with other values of the attribute may be pieces, too.
    """

    alike: Callable[[GroupKey, Frame], Hashable]
    must_be_worse: bool
    lacks: Callable[[GroupKey, GroupKey], bool] | None = None
    may_differ: bool = True

    def sets(self, keys: list[GroupKey]) -> list[list[GroupKey]]:
        """Return which groups may be pieces of one stack: all of them, or one that lacks the attribute and another."""
        if len(keys) < 2:
            return []
        pairs = [[key, other] for key in keys for other in keys if self.lacks and self.lacks(key, other)]
        return [keys, *(pairs if len(keys) > 2 else [])] if self.may_differ else pairs


def _but_samples(key: GroupKey, _: Frame) -> Hashable:
    return key._replace(dtype="", photometric="")


def _but_type(key: GroupKey, _: Frame) -> Hashable:
    """Return a key that is the same for original and derived images, and without what Image Type says."""
    terms = tuple(term for term in key.terms if term[0] not in _COMPONENTS)
    return key._replace(kind=key.kind._replace(origin="", part="", contrast=""), terms=terms)


def _lacks_type(key: GroupKey, other: GroupKey) -> bool:
    return not _has_type(key) and _has_type(other)


def _has_type(key: GroupKey) -> bool:
    return bool(key.kind.part or key.kind.contrast or any(name in _COMPONENTS for name, _ in key.terms))


def _but_kernel(key: GroupKey, _: Frame) -> Hashable:
    return key._replace(kernel="")


def _but_meaning(key: GroupKey, _: Frame) -> Hashable:
    """Return a key without what says what values are: units, corrections, type of data, quantity."""
    return key._replace(terms=(), tables=())


def _lacks_meaning(key: GroupKey, other: GroupKey) -> bool:
    return {*key.terms, *key.tables} < {*other.terms, *other.tables}


def _but_size(key: GroupKey, _: Frame) -> Hashable:
    return key._replace(size=0)


def _but_turned(key: GroupKey, first: Frame) -> Hashable:
    """Return a key that is the same for all directions of rows and columns in parallel planes."""
    normal = geometry.slice_normal(first.orientation or ()) if first.pixel_spacing else None
    sign = -1 if normal and min(normal) < -max(normal) else 1
    plane = tuple(round(sign * part, 2) + 0.0 for part in normal) if normal else key.orientation
    return plane, key._replace(orientation=0)


_FAMILIES: Final = (
    _Family(_but_samples, must_be_worse=False),
    _Family(_but_type, must_be_worse=True, lacks=_lacks_type),
    _Family(_but_kernel, must_be_worse=True, lacks=lambda key, other: not key.kernel and bool(other.kernel)),
    _Family(_but_size, must_be_worse=False, lacks=lambda key, other: key.size < 0 <= other.size, may_differ=False),
    _Family(_but_meaning, must_be_worse=True, lacks=_lacks_meaning, may_differ=False),
    _Family(_but_turned, must_be_worse=False),
)


def _as_if_not_turned(frames: Sequence[Frame], like: Frame) -> list[Frame]:
    """Return frames with the directions of another one, and their centres as positions."""
    found = []
    for frame in frames:
        cosines, (between_rows, between_columns) = frame.orientation or AXIAL, frame.pixel_spacing or (1.0, 1.0)
        along = between_columns * (frame.columns - 1) / 2, between_rows * (frame.rows - 1) / 2
        x, y, z = (
            round(start + along[0] * row + along[1] * column, 4)
            for start, row, column in zip(frame.position or (), cosines[:3], cosines[3:], strict=True)
        )
        found.append(replace(frame, position=(x, y, z), orientation=like.orientation))
    return found


def _is_grey(frame: Frame) -> bool:
    is_mosaic = kind_of_image(frame.image_type, frame.sop_class_uid).mosaic
    return frame.photometric in ("MONOCHROME1", "MONOCHROME2") and not is_mosaic


def flagged(frame: Frame, flag: str) -> Frame:
    """Return a frame with one more flag.

    Parameters
    ----------
    frame : Frame
    flag : str
        Code of `flags.FLAGS`.

    Returns
    -------
    Frame
    """
    return replace(frame, flags=tuple(sorted({*frame.flags, flag})))


def _pieces(parts: Sequence[list[Frame]], tolerance: float, must_be_worse: bool) -> Sequence[int]:
    """Return which parts are pieces of one stack: all of them, or those that remain without copies of their frames."""
    if _are_pieces(parts, tolerance, must_be_worse):
        return range(len(parts))
    if must_be_worse:
        return ()
    own = _without_copies(parts)
    left = [index for index, part in enumerate(own) if part]
    are_fewer = len(left) > 1 and sum(map(len, own)) < sum(map(len, parts))
    return left if are_fewer and _are_pieces([own[index] for index in left], tolerance, must_be_worse) else ()


def _without_copies(parts: Sequence[list[Frame]]) -> list[list[Frame]]:
    """Return what each part has at places that no larger one has, for each class of facts; nothing of a part of copies.

    A part of copies has all places, or repeats more than it adds. Where a part has several frames at one place, nothing
    says what is a copy.
    """
    part_of = {(frame.source, frame.number): index for index, part in enumerate(parts) for frame in part}
    at: list[dict[Hashable, Frame]] = [{} for _ in parts]
    for key, members in classes_of([frame for part in parts for frame in part]).items():
        for frame in members:
            at[part_of[frame.source, frame.number]][key, round(depth(frame), 2)] = frame
    if any(len(places) < len(part) for places, part in zip(at, parts, strict=True)):
        return []
    everywhere, taken = set().union(*at), set[Hashable]()
    own: list[list[Frame]] = [[] for _ in parts]
    for index in sorted(range(len(parts)), key=lambda index: -len(parts[index])):
        new = at[index].keys() - taken
        if at[index].keys() != everywhere and 2 * len(new) >= len(parts[index]):
            taken |= new
            own[index] = [frame for place, frame in at[index].items() if place in new]
    return own


def _are_pieces(parts: Sequence[list[Frame]], tolerance: float, must_be_worse: bool) -> bool:
    """Return whether frames are one certain stack for each class of facts, of which no part is more than a piece.

    Where only a counter distinguishes the times of the stack, it must do so in a part, too.
    `must_be_worse`: only if the parts by themselves are uneven, lack slices or are single slices.
    """
    if _are_whole(parts, must_be_worse):
        return False  # each is a volume by itself
    frames = [frame for part in parts for frame in part]
    together = arranged(with_numbers(with_comparable_clocks(frames)), tolerance)
    if not all(len(found) == 1 for found in together):
        return False
    alone = [found for part in parts for found in arranged(part, tolerance)]
    if not all(map(is_certain, together)) and all(map(is_certain, alone)):
        return False
    counted = _DOUBTS if must_be_worse else None
    stacks = [stack for found in alone for stack in found]
    return doubts_of([found[0] for found in together])[:counted] < doubts_of(stacks)[:counted]


def _are_whole(parts: Sequence[list[Frame]], also_single: bool) -> bool:
    """Return whether each part has all places, of each class of facts that it has; `also_single`: if they are one."""
    part_of = {(frame.source, frame.number): index for index, part in enumerate(parts) for frame in part}
    for members in classes_of([frame for part in parts for frame in part]).values():
        places: dict[int, set[float]] = {}
        for frame in members:
            places.setdefault(part_of[frame.source, frame.number], set()).add(round(depth(frame), 2))
        everywhere = set().union(*places.values())
        if (len(everywhere) == 1 and not also_single) or any(found != everywhere for found in places.values()):
            return False
    return True
