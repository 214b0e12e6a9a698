"""Find files that are copies of others in content: the same place, facts and pixels under another SOP Instance UID.

A PACS that exports an image twice may give the copy a UID, an instance number and a time of writing of its own. Frames
of a genuine repetition (a time series) can have equal pixels, too: an empty slice, a mask that does not change. So
equal pixels are those of a copy only where a place has more files than the repetitions of the other places explain.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from dicomzarr.volumes import geometry, rounding
from dicomzarr.volumes.frame_attributes import B_VECTOR
from dicomzarr.volumes.model import Frame
from dicomzarr.volumes.t_axis import CLOCKS

# Causes that a copy may have of its own: counters, and times of writing. Not Series Number: one series has one, so that
# files of several are what somebody put side by side.
OF_WRITING: Final = frozenset({"instance_number", "acquisition_number", "content_time_s"})
# Numbers of the series, and of a part of an image: two headers that differ in them say nothing different of the image.
_OF_SERIES: Final = frozenset({"series_number", "in_concatenation_number", "in_concatenation_total_number"})
# Cosines that differ by at most this are the same orientation.
_ORIENTATION_TOLERANCE: Final = 2e-4
# So many equal times with counters of their own are a repetition; nobody exports a stack so often into one series.
FEWEST_TIMES: Final = 3
_UNPLACED: Final = "instance number"
# What two headers of one image may differ in when one of them was written with fewer digits: mm, cosines, and the share
# of other numbers.
_ROUNDED_MM: Final = 0.051
_ROUNDED_COSINE: Final = 1.5e-3
_SAME_NUMBER: Final = 1e-4
_MOST_ROUNDED: Final = 0.1  # last digit of a number that may be the other one, rounded


@dataclass(frozen=True, slots=True)
class Pixels:
    """The pixels of a file: a digest of all of them, and whether each frame has one value throughout."""

    digest: str
    is_constant: bool


@dataclass(frozen=True, slots=True)
class _Place:
    """The files of equal facts at one place; or without a place, with one instance number."""

    files: list[int]
    is_known: bool
    instance_numbers: tuple[float | None, ...] = ()

    def by_content(self, pixels: Callable[[int], Pixels | None]) -> dict[str, list[int]]:
        contents: dict[str, list[int]] = {}
        for file in self.files:
            found = pixels(file)
            if found is not None:
                contents.setdefault(found.digest, []).append(file)
        return contents


def copies(
    files: Mapping[int, Sequence[Frame]],
    facts_of_file: Callable[[int], Hashable],
    pixels: Callable[[int], Pixels | None],
) -> list[int]:
    """Return the files that are copies of others; for each image one file stays.

    Files are compared if all their frames lie at the same place and all facts of acquisition are equal. *N* is the
    number of such files at most places:

    - *N* is 1: not repeated. Files with equal pixels at a place are copies.
    - *N* is larger, and at a place with *N* files all pixels differ: a repetition. A place keeps *N* files at least.
    - *N* is larger, and every place has one content alone, not each of them constant: the stack was exported *N* times.
      But three times or more that are counted through without an equal instance number are a repetition: test sets
      and masks have such times, and to lose them would be worse than to keep them.
    - *N* is larger, and each content that is not constant occurs equally often, *m* times: a repetition was exported
      *m* times. A place keeps its share of the files.
    - Every content is constant: copies only if other files of the series are not repeated, or are copies, and none is
      a repetition.
    - Else nothing is a copy.

    Where images have no place, those with equal facts, the same instance number and equal pixels, which are not
    constant, are copies.

    Parameters
    ----------
    files : mapping of int to sequence of Frame
        The frames of each file of one series, by the number of the file.
    facts_of_file : callable
        Returns what else must be equal, for a file: its lookup tables, the unit of its values.
    pixels : callable
        Returns the pixels of a file, None if they cannot be read; called only where there are files to compare.

    Returns
    -------
    list of int
        Numbers of files, ascending. Those with the smallest counters stay; the result depends on the data alone.
    """
    if len(files) < 2:
        return []
    found: list[int] = []
    uncertain: list[int] = []
    kinds: set[str] = set()
    for places in _comparable(files, facts_of_file):
        kind, of_group = _copies_at(places, pixels)
        kinds.add(kind)
        (uncertain if kind == "constant" else found).extend(of_group)
    if "repeated" not in kinds and kinds - {"constant"}:
        found += uncertain
    return sorted(found)


def contradict(first: Sequence[Frame], second: Sequence[Frame]) -> bool:
    """Return whether the headers of two files with equal pixels say different things of them.

    Parameters
    ----------
    first, second : sequence of Frame
        The frames of each file.

    Returns
    -------
    bool
        True if both state a place, a spacing, a rescaling, a table or a fact of acquisition, and differ in it.
        Counters and clocks are not compared: a copy may have its own.
    """
    return len(first) != len(second) or any(map(_contradict, first, second))


def _contradict(first: Frame, second: Frame) -> bool:
    if first.photometric != second.photometric:
        return True
    if first.position and second.position:
        moved = max(abs(a - b) for a, b in zip(first.position, second.position, strict=True))
        if moved > _ROUNDED_MM:
            return True
    if first.orientation and second.orientation:
        turned = max(abs(a - b) for a, b in zip(first.orientation, second.orientation, strict=True))
        if turned > _ROUNDED_COSINE:
            return True
    scales = ((frame.rescale, frame.real_world) for frame in (first, second))
    if any(a and b and not all(map(_is_same, a, b)) for a, b in zip(*scales, strict=True)):
        return True
    spacings = zip(first.pixel_spacing or (), second.pixel_spacing or (), strict=False)
    if not all(_is_rounded(a, b, rounding.MOST_SPACING_DIGIT) for a, b in spacings):
        return True
    for a, b in ((first.terms, second.terms), (first.tables, second.tables)):
        if any(a[key] != b[key] for key in a.keys() & b.keys()):
            return True
    facts = first.causes.keys() & second.causes.keys() - OF_WRITING - CLOCKS - _OF_SERIES
    facts -= {key for key in B_VECTOR if _is_null(first) or _is_null(second)}  # also where no direction is stated
    return not all(_is_rounded(first.causes[key], second.causes[key]) for key in facts)


def _is_same(first: float, second: float) -> bool:
    return abs(first - second) <= _SAME_NUMBER * max(abs(first), abs(second))


def _is_rounded(first: float, second: float, largest_digit: float = _MOST_ROUNDED) -> bool:
    """Return whether two numbers are the same, or one is the other with fewer digits; of whole numbers none is."""
    digit = max(rounding.last_digit((first,)), rounding.last_digit((second,)))
    return _is_same(first, second) or (digit <= largest_digit and abs(first - second) <= 0.51 * digit)


def _is_null(frame: Frame) -> bool:
    return not any(frame.causes.get(key) for key in B_VECTOR)


def fullest_first(frames: Sequence[Frame], length: int) -> tuple[object, ...]:
    """Return the sort key of files with equal pixels: what says most, with most digits, comes first.

    Then come words and numbers that a series shares, and the smallest counters and clocks.

    Parameters
    ----------
    frames : sequence of Frame
        Of a file.
    length : int
        Bytes of its header.

    Returns
    -------
    tuple
        It follows a change that was made alike in all files of a series: so the same copy of each file comes first.
    """
    if not frames:
        return ()
    frame = frames[0]
    optional = (frame.position, frame.orientation, frame.pixel_spacing, frame.rescale, frame.real_world, frame.window)
    stated = sum(map(bool, (*optional, frame.kernel))) + len(frame.terms) + len(frame.constants) + len(frame.tables)
    stated += len(frame.causes) - (0 if any(map(frame.causes.get, B_VECTOR)) else 1)
    facts = {key: value for key, value in frame.causes.items() if key not in {*OF_WRITING, *CLOCKS, *_OF_SERIES}}
    numbers = [number for several in optional[:5] for number in several or ()]
    digits = sum(len(repr(number)) for number in (*numbers, *facts.values(), *frame.constants.values()))
    shared = (
        frame.image_type,
        frame.kernel,
        sorted(frame.constants.items()),
        frame.window,
        frame.pixel_spacing or (),
        sorted(facts.items()),
    )
    counters = (frame.causes.get(key, float("inf")) for key in sorted({*OF_WRITING, *CLOCKS, "series_number"}))
    return (-stated, -digits, -length, *shared, *counters)


def _comparable(
    files: Mapping[int, Sequence[Frame]], facts_of_file: Callable[[int], Hashable]
) -> Iterator[list[_Place]]:
    """Yield the places of the files of equal facts; nothing if no place has several files."""
    by_place: dict[tuple[Hashable, ...], list[int]] = {}
    for file, place in _places(files):
        by_place.setdefault(place, []).append(file)
    if not any(_may_be_equal(members, files) for members in by_place.values()):
        return
    groups: dict[tuple[bool, Hashable], dict[tuple[Hashable, ...], list[int]]] = {}
    for place, members in by_place.items():
        for file in members:
            key = (place[0] != _UNPLACED, (facts_of_file(file), *map(_facts, files[file])))
            groups.setdefault(key, {}).setdefault(place, []).append(file)
    for (is_known, _), group in groups.items():
        ordered = (sorted(members, key=lambda file: _rank(files[file][0])) for members in group.values())
        in_order = sorted(ordered, key=lambda members: _rank(files[members[0]][0]))
        yield [
            _Place(members, is_known, tuple(_instance_number(files[file][0]) for file in members))
            for members in in_order
        ]


def _may_be_equal(members: Sequence[int], files: Mapping[int, Sequence[Frame]]) -> bool:
    """Return whether files at one place may have equal facts: most series are settled by their clocks."""
    return len(members) > 1 and len({_causes(files[file][0]) for file in members}) < len(members)


def _places(files: Mapping[int, Sequence[Frame]]) -> Iterator[tuple[int, tuple[Hashable, ...]]]:
    """Yield each file that has a place, with a key of it."""
    single = [
        (file, frames[0].position, frames[0].orientation)
        for file, frames in files.items()
        if len(frames) == 1 and frames[0].position is not None and frames[0].orientation is not None
    ]
    positions = geometry.cluster([position or () for _, position, _ in single], geometry.SAME_POSITION_MM)
    cosines = geometry.cluster([orientation or () for _, _, orientation in single], _ORIENTATION_TOLERANCE)
    positions = _with_fewer_digits([position or () for _, position, _ in single], positions)
    for (file, _, _), *place in zip(single, positions, cosines, strict=True):
        yield file, tuple(place)
    with_place = {file for file, _, _ in single}
    for file, frames in files.items():
        if file in with_place or not frames:
            continue
        if all(frame.position is not None for frame in frames):
            yield file, tuple((frame.position, frame.orientation) for frame in frames)
        elif "instance_number" in frames[0].causes:
            yield file, (_UNPLACED, frames[0].causes["instance_number"], len(frames))


def _with_fewer_digits(positions: Sequence[tuple[float, ...]], groups: Sequence[int]) -> list[int]:
    """Give positions that are the rounded form of longer ones at one place the group of that place."""
    digits = [rounding.last_digit(position) for position in positions]
    whole = [all(value == int(value) for value in position) for position in positions]  # may be rounded to any digit
    joined = list(groups)
    for digit in sorted({digit for digit in digits if digit}):
        decimals = round(-math.log10(digit))
        longer: dict[tuple[float, ...], set[int]] = {}
        for position, own, is_whole, group in zip(positions, digits, whole, joined, strict=True):
            if own < digit and not is_whole:
                longer.setdefault(tuple(round(value, decimals) for value in position), set()).add(group)
        for index, position in enumerate(positions):
            found = longer.get(position, set()) if digits[index] == digit or whole[index] else set()
            if len(found) == 1:
                joined[index] = next(iter(found))
    return joined


def _instance_number(frame: Frame) -> float | None:
    return frame.causes.get("instance_number")


def _causes(frame: Frame) -> frozenset[tuple[str, float]]:
    return frozenset([cause for cause in frame.causes.items() if cause[0] not in OF_WRITING])


def _facts(frame: Frame) -> Hashable:
    """Return everything that frames at one place must share to be copies, except their pixels."""
    return (
        *(frame.number, frame.frames_in_file, frame.concatenation_offset),
        *(frame.sop_class_uid, frame.modality, frame.image_type, frame.kernel, frame.coil),
        *(frame.rows, frame.columns, frame.samples, frame.dtype, frame.photometric, frame.bits_stored),
        *(_rounded(frame.pixel_spacing), _rounded(frame.rescale), _rounded(frame.real_world)),
        *(_causes(frame), frozenset(frame.terms.items()), frozenset(frame.constants.items())),
        repr(sorted(frame.mosaic.items())) if frame.mosaic else "",
    )


def _rounded(values: Sequence[float] | None) -> tuple[str, ...] | None:
    return None if values is None else tuple(f"{value:.9g}" for value in values)


def _rank(frame: Frame) -> tuple[object, ...]:
    """Return the sort key of the files at a place: the first ones stay."""
    counters = (frame.causes.get(key, float("inf")) for key in ("acquisition_number", "instance_number"))
    return (*counters, -sum(len(repr(value)) for value in frame.position or ()), frame.content, frame.source)


def _copies_at(places: Sequence[_Place], pixels: Callable[[int], Pixels | None]) -> tuple[str, list[int]]:
    """Return the copies among files of equal facts, and what these files are; see `copies`.

    That is `single` (one file at most places), `copied`, `repeated`, or `constant` (the copies are uncertain).
    """
    if not places[0].is_known:
        several = [place.by_content(pixels).values() for place in places if len(place.files) > 1]
        return "single", [file for of in several for files in of if _tells(files[0], pixels) for file in files[1:]]
    numbers = Counter(len(place.files) for place in places)
    usual = min(numbers, key=lambda number: (-numbers[number], number))
    if usual == 1:
        doubled = (place.by_content(pixels) for place in places if len(place.files) > 1)
        return "single", [copy for by_content in doubled for copy in _surplus(by_content, 1)]
    contents: list[dict[str, list[int]]] = []
    for place in places:
        if len(place.files) == usual:
            contents.append(place.by_content(pixels))
            if len(contents[-1]) == usual:  # only places with more files than the others can have copies
                larger = (place.by_content(pixels) for place in places if len(place.files) > usual)
                return "repeated", [copy for by_content in larger for copy in _surplus(by_content, usual)]
    contents += [place.by_content(pixels) for place in places if len(place.files) != usual]
    contents = [by_content for by_content in contents if by_content]
    each_alone = [copy for by_content in contents for copy in _surplus(by_content, 1)]
    one_content = all(len(by_content) == 1 for by_content in contents)
    telling = [members for by_content in contents for members in by_content.values() if _tells(members[0], pixels)]
    if not telling:
        return ("constant", each_alone) if one_content else ("repeated", [])
    if one_content:
        return ("repeated", []) if usual >= FEWEST_TIMES and _are_counted_through(places) else ("copied", each_alone)
    times = len(telling[0])
    if times == 1 or any(len(members) != times for members in telling):
        return "repeated", []
    # Rounded up: what cannot be divided stays.
    shares = [-(-sum(map(len, by_content.values())) // times) for by_content in contents]
    pairs = zip(contents, shares, strict=True)
    return "repeated", [copy for by_content, share in pairs for copy in _surplus(by_content, share)]


def _are_counted_through(places: Sequence[_Place]) -> bool:
    """Return whether every file has an Instance Number (0020,0013) of its own."""
    numbers = [number for place in places for number in place.instance_numbers]
    return None not in numbers and len(set(numbers)) == len(numbers)


def _tells(file: int, pixels: Callable[[int], Pixels | None]) -> bool:
    """Return whether equal pixels tell something: an image that is not constant is never measured twice."""
    found = pixels(file)
    return found is not None and not found.is_constant


def _surplus(by_content: Mapping[str, Sequence[int]], least: int) -> list[int]:
    """Return the copies at a place, so that it keeps one file of each content, and `least` files."""
    further = [file for members in by_content.values() for file in members[1:]]
    allowed = sum(map(len, by_content.values())) - max(least, len(by_content))
    order = {file: rank for members in by_content.values() for rank, file in enumerate(members)}
    further.sort(key=lambda file: order[file], reverse=True)
    return further[: max(allowed, 0)]
