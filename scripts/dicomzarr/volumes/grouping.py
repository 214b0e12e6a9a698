"""Group the frames of a series that may form one stack, and say what separates the groups."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Final

from dicomzarr.volumes import geometry, rounding
from dicomzarr.volumes.acquisition import classes_of
from dicomzarr.volumes.clocks import with_comparable_clocks
from dicomzarr.volumes.divided import GroupKey, arranged, flagged, is_certain, says_what_varies, with_pieces_flagged
from dicomzarr.volumes.image_type import KindOfImage, is_derived, kind_of_image, words_of_quantity
from dicomzarr.volumes.model import Frame
from dicomzarr.volumes.numbering import with_numbers
from dicomzarr.volumes.pieces import is_nearly_even
from dicomzarr.volumes.slices import depth
from dicomzarr.volumes.stacks import Stack
from dicomzarr.volumes.terms import terms_that_differ

# Cosines that differ by at most this are the same orientation: 0.02 mm at 100 mm from the origin.
ORIENTATION_TOLERANCE: Final = 2e-4
# Cosines that differ by at most this are the same if the slices are one even stack: noise of the scanner.
NEAR_ORIENTATION: Final = 1.5e-3
# Cosines that differ by at most this may be noise, if slices are single or uneven without those of the others.
WIDEST_NOISE: Final = 8e-3
# Pixel spacings with at most this relative difference are the same.
PIXEL_SPACING_TOLERANCE: Final = 1e-4


@dataclass(frozen=True, slots=True)
class Group:
    """Frames that may form one stack: same kind, matrix, samples, orientation and pixel spacing.

    Attributes
    ----------
    frames : list of Frame
    discriminators : tuple of str
        Quantised attributes that the frames share.
    set : tuple of str
        What all arrays share that can be put together, pixel by pixel.
    kind : KindOfImage
    split_by : tuple of str
        Criteria that separate the group from others of the series.
    why : str
        The same in words with numbers.
    """

    frames: list[Frame]
    discriminators: tuple[str, ...]
    set: tuple[str, ...]
    kind: KindOfImage
    split_by: tuple[str, ...]
    why: str


def groups_of(frames: Sequence[Frame], prefix: tuple[str, ...], tolerance: float) -> list[Group]:
    """Group frames with geometry.

    Parameters
    ----------
    frames : sequence of Frame
        Sorted by identity.
    prefix : tuple of str
        Discriminators that precede those of the group.
    tolerance : float
        Largest departure of slices from a regular grid, relative to their spacing.

    Returns
    -------
    list of Group
        Every frame is in one group.
    """
    orientations = geometry.cluster([frame.orientation or () for frame in frames], WIDEST_NOISE)
    size_of = _sizes({frame.pixel_spacing for frame in frames if frame.pixel_spacing})
    terms = terms_that_differ(frame.terms for frame in frames)
    members: dict[GroupKey, list[Frame]] = {}
    for frame, orientation in zip(frames, orientations, strict=True):
        size = size_of[frame.pixel_spacing] if frame.pixel_spacing else -1
        kind = kind_of_image(frame.image_type, frame.sop_class_uid)
        array = (frame.rows, frame.columns, frame.samples, frame.dtype, frame.photometric)
        apart = (frame.kernel, _terms_of(frame, terms), tuple(sorted(frame.tables.items())))
        members.setdefault(GroupKey(orientation, size, kind, *array, *apart), []).append(frame)
    members = with_pieces_flagged(members, tolerance)
    differing = _differing(members.keys())
    split_by = tuple(words.replace(" ", "_") for words in differing)
    apart_from = [count_of(number, words) for words, number in differing.items()]
    why = f"; apart from other frames of the series by {', '.join(apart_from)}" if apart_from else ""
    groups = []
    for group in map(with_numbers, map(with_comparable_clocks, members.values())):
        kind = kind_of_image(group[0].image_type, group[0].sop_class_uid)
        facts = (*prefix, *_facts(group[0], kind, terms))
        if "table of values" in differing:
            facts = (*facts, *(f"{name}={digest}" for name, digest in sorted(group[0].tables.items())))
        for name, label, part in _separated(group, tolerance):
            by = (*split_by, name) if name else split_by
            also = f"; apart from others of the same kind by {name}" if name else ""
            groups.append(Group(part, (*facts, *label), _set_of(group[0]), kind, by, why + also))
    return groups


def _terms_of(frame: Frame, names: frozenset[str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name, term) for name, term in frame.terms.items() if name in names))


def _separated(frames: list[Frame], tolerance: float) -> list[tuple[str, tuple[str, ...], list[Frame]]]:
    """Separate spaces, orientations, stacks of a file and Image Types, where frames would not be one volume otherwise.

    Positions in two frames of reference cannot be compared: what lies at one place in both is no axis of one array.

    Orientations that differ by little, and stacks of a file, are one volume where together they are one even stack:
    noise of the scanner, and packages of slices. Image Type (0008,0008) holds remarks beside its vocabulary: it
    separates only images at the same places of which only a counter distinguishes some.
    """
    if len(frames) == 1:
        return [("", (), frames)]
    by_reference = _by(frames, [frame.frame_of_reference for frame in frames])
    if len(by_reference) > 1 and not _may_share_a_space(frames, by_reference, tolerance):
        return [
            (name or "frame_of_reference", (f"frame_of_reference={uid}", *label), members)
            for uid, part in by_reference.items()
            for name, label, members in _separated(part, tolerance)
        ]
    cosines = [frame.orientation or () for frame in frames]
    for name, values, may_be in (
        ("orientation", geometry.cluster(cosines, NEAR_ORIENTATION), (_are_noise,)),
        ("orientation", geometry.cluster(cosines, _orientation_tolerance(frames)), (_are_noise, _are_one)),
        ("stack_of_the_file", _stacks_of_files(frames), (_are_one,)),
    ):
        parts = _by(frames, values)
        if len(parts) > 1 and not any(are(frames, parts.values(), tolerance) for are in may_be):
            if name == "orientation" and _may_be_pieces(frames, parts.values(), tolerance):
                parts = {key: [flagged(frame, "stack_divided") for frame in part] for key, part in parts.items()}
            return [
                (name, (f"{name}={key}", *label), members)
                for key, part in parts.items()
                for _, label, members in _separated(part, tolerance)
            ]
    by_type = _by(frames, [frame.image_type for frame in frames])
    if len(by_type) > 1 and (
        _are_maps(frames, by_type.values())
        or _are_separate(arranged(frames, tolerance), list(by_type.values()), tolerance)
    ):
        return [("image_type", (f"image_type={key}",), part) for key, part in by_type.items()]
    return [("", (), frames)]


def _stacks_of_files(frames: Sequence[Frame]) -> list[float]:
    """Return the number of the stack of each frame, by Stack ID (0020,9056); one for all where no image has several.

    All parts of a concatenation are one image. Where each image has one stack, an ID may count images.
    """
    of_image: dict[object, set[str]] = {}
    for frame in frames:
        of_image.setdefault(frame.image, set()).add(frame.stack)
    if max(map(len, of_image.values())) == 1:
        return [-1.0] * len(frames)
    names = sorted(set().union(*of_image.values()))
    return [float(names.index(frame.stack)) for frame in frames]


def _are_separate(together: list[list[Stack]], parts: list[list[Frame]], tolerance: float) -> bool:
    """Return whether Image Types are images of their own, not remarks.

    They are, where a counter distinguishes frames of several types, and is needed for no type by itself; or where it
    is needed for them too, and each fills the same places equally often, at least twice: a time series before and
    after its motion correction.
    """
    if all(_needs_no_counter(found) for found in together):
        return False
    alone = [found for part in parts for found in arranged(part, tolerance)]
    if all(_needs_no_counter(found) for found in alone):
        return True
    if all(map(is_certain, alone)):
        return not all(map(is_certain, together))
    return not any(stack.is_doubtful for found in alone for stack in found) and _fill_equally(parts)


def _are_maps(frames: Sequence[Frame], by_type: Collection[Sequence[Frame]]) -> bool:
    """Return whether frames are maps of several quantities, which have their names in Image Type: Ktrans, Kep and Ve.

    Derived images whose types each have a word that no other one has, and which lie at the same places, each once for
    each class of facts. The times of maps are those of their computation.
    """
    if not all(is_derived(frame.image_type) for frame in frames):
        return False
    words = [words_of_quantity(part[0].image_type) for part in by_type]
    if any(not found - set().union(*(other for other in words if other is not found)) for found in words):
        return False
    places = [
        Counter((round(depth(frame), 2), key) for key, part in classes_of(members).items() for frame in part)
        for members in by_type
    ]
    shared = set(places[0]).intersection(*places[1:])
    return bool(shared) and all(max(count.values()) == 1 and 2 * len(shared) >= len(count) for count in places)


def _fill_equally(parts: Sequence[Sequence[Frame]]) -> bool:
    """Return whether each part has as many frames at the same places, at least two, but for a quarter that was lost."""
    counts = [Counter(round(depth(frame), 2) for frame in part) for part in parts]
    places = set().union(*counts)
    times = {max(count.values()) for count in counts}
    each = times.pop()
    return not times and each > 1 and all(4 * count.total() >= 3 * each * len(places) for count in counts)


def _may_share_a_space(frames: Sequence[Frame], by_reference: dict[object, list[Frame]], tolerance: float) -> bool:
    """Return whether frames of several frames of reference may lie in one space all the same.

    Some programs that remove names give each image a Frame of Reference UID (0020,0052) of its own, or half of them
    another one: so it is where the slices together are one even stack, one at each position. Slices may be lost, if not
    each part by itself is even.
    """
    if "" in by_reference or 2 * len(by_reference) > len(frames):
        return True
    together = arranged(frames, tolerance)
    if not all(
        len(found) == 1 and is_nearly_even(found[0].slices) and len(found[0].grid[0]) == 1 for found in together
    ):
        return False
    return all(found[0].slices.is_even for found in together) or not _are_even_alone(by_reference.values(), tolerance)


def _by(frames: Sequence[Frame], values: Sequence[object]) -> dict[object, list[Frame]]:
    parts: dict[object, list[Frame]] = {}
    for frame, value in zip(frames, values, strict=True):
        parts.setdefault(value, []).append(frame)
    return parts


def _are_one(frames: Sequence[Frame], parts: Collection[list[Frame]], tolerance: float) -> bool:
    """Return whether frames are one even stack for each class of facts, and not only because rounding explains much.

    Where only a counter distinguishes the times of a stack, it does so in its parts, too.
    Slices may be lost, if not each part by itself is an even stack of three slices or more.
    """
    together = arranged(frames, tolerance)
    stacks = [found[0] for found in together]
    if len(stacks) < sum(map(len, together)):
        return False
    if not all(map(is_certain, together)) and all(is_certain(found) for found in _alone(parts, tolerance)):
        return False
    if any(stack.slices.kind not in ("single", "uniform", "gap") for stack in stacks):
        return False
    are_even, are_fitted = all(stack.slices.is_even for stack in stacks), any(stack.slices.fit for stack in stacks)
    if are_even and not are_fitted:
        return True
    if not are_even and _are_even_alone(parts, tolerance):
        return False
    pieces = [stack for found in _alone(parts, tolerance) for stack in found]
    return not are_fitted or any(stack.slices.fit or len(stack.grid) < 3 for stack in pieces)


def _are_noise(frames: Sequence[Frame], parts: Collection[list[Frame]], tolerance: float) -> bool:
    """Return whether directions that differ a little divide stacks: fewer slices are loose, or missing, together."""
    together, apart = _alone([[*frames]], tolerance), _alone(parts, tolerance)
    return (_loose(together), _missing(together)) < (_loose(apart), _missing(apart))


def _may_be_pieces(frames: Sequence[Frame], parts: Collection[list[Frame]], tolerance: float) -> bool:
    """Return whether parts hold loose slices, or are even stacks that together are fewer ones."""
    apart = _alone(parts, tolerance)
    if _loose(apart):
        return True
    return sum(map(len, arranged(frames, tolerance))) < sum(map(len, apart)) and _are_one(frames, parts, tolerance)


def _loose(arrangement: Iterable[Sequence[Stack]]) -> int:
    """Return the number of slices that are doubtful, uneven, or in stacks of one or two, which any two slices are."""
    return sum(
        len(stack.grid)
        for stacks in arrangement
        for stack in stacks
        if stack.is_doubtful or stack.slices.kind in ("uneven", "irregular") or len(stack.grid) < 3
    )


def _missing(arrangement: Iterable[Sequence[Stack]]) -> int:
    return sum(stack.slices.missing for stacks in arrangement for stack in stacks)


def _are_even_alone(parts: Iterable[list[Frame]], tolerance: float) -> bool:
    """Return whether each part by itself is an even stack of three slices or more."""
    return all(stack.slices.is_even and len(stack.grid) > 2 for found in _alone(parts, tolerance) for stack in found)


def _alone(parts: Iterable[list[Frame]], tolerance: float) -> list[list[Stack]]:
    """Return the stacks of each class of facts of each part by itself."""
    return [found for part in parts for found in arranged(part, tolerance)]


def _needs_no_counter(stacks: Sequence[Stack]) -> bool:
    """Return whether facts and clocks alone distinguish all frames at the same position."""
    return not any(
        stack.is_doubtful or any(not says_what_varies(cause, stack.frames) for cause in stack.sorted_by)
        for stack in stacks
    )


def _sizes(spacings: set[tuple[float, float]]) -> dict[tuple[float, float], int]:
    """Return the number of the size of each pixel spacing; sizes that differ by rounding have the same number."""
    sizes: list[tuple[float, float]] = []
    found: dict[tuple[float, float], int] = {}
    for spacing in sorted(spacings, key=lambda pair: (rounding.last_digit(pair), pair)):  # those with most digits first
        digit = rounding.last_digit(spacing)
        near = max(PIXEL_SPACING_TOLERANCE * min(spacing), digit / 2 if digit <= rounding.MOST_SPACING_DIGIT else 0.0)
        row, column = spacing
        like = (n for n, size in enumerate(sizes) if abs(size[0] - row) <= near and abs(size[1] - column) <= near)
        number = next(like, len(sizes))
        if number == len(sizes):
            sizes.append(spacing)
        found[spacing] = number
    return found


def _orientation_tolerance(frames: Sequence[Frame]) -> float:
    """Return the difference of cosines that is none: more, where all are written with three decimals."""
    digit = rounding.last_digit(cosine for frame in frames for cosine in frame.orientation or ())
    return max(ORIENTATION_TOLERANCE, 1.01 * digit if digit <= 1e-3 else 0.0)


_CRITERIA: Final = (
    ("orientation", attrgetter("orientation")),
    ("pixel spacing", attrgetter("size")),
    ("kind of image", attrgetter("kind")),
    ("matrix size", attrgetter("rows", "columns")),
    ("sample layout", attrgetter("samples", "dtype", "photometric")),
    ("kernel", attrgetter("kernel")),
    ("term", attrgetter("terms")),
    ("table of values", attrgetter("tables")),
)


def _differing(keys: Collection[GroupKey]) -> dict[str, int]:
    """Return the criteria in which the groups of a series differ, with the number of values."""
    counts = {words: len(set(map(values_of, keys))) for words, values_of in _CRITERIA}
    return {words: number for words, number in counts.items() if number > 1}


def _set_of(frame: Frame) -> tuple[str, ...]:
    """Return what all arrays share that can be put together, pixel by pixel."""
    facts = [f"matrix={frame.rows}x{frame.columns}"]
    facts.append("orientation=" + ",".join(f"{round(c, 2) + 0.0:.2f}" for c in frame.orientation or ()))
    if frame.pixel_spacing:
        facts.append("spacing=" + ",".join(f"{x:.3g}" for x in frame.pixel_spacing))
    return tuple(facts)


def _facts(frame: Frame, kind: KindOfImage, terms: frozenset[str]) -> tuple[str, ...]:
    """Return the quantised attributes that the frames of a group share, read from the first frame."""
    facts = [
        f"matrix={frame.rows}x{frame.columns}x{frame.samples}",
        f"dtype={frame.dtype}",
        f"photometric={frame.photometric}",
        f"kind={'/'.join(kind)}",
        "orientation=" + ",".join(f"{round(c, 3) + 0.0:.3f}" for c in frame.orientation or ()),
    ]
    if frame.pixel_spacing:
        facts.append("spacing=" + ",".join(f"{x:.4g}" for x in frame.pixel_spacing))
    if frame.kernel:
        facts.append(f"kernel={frame.kernel}")
    facts += [f"{name}={term}" for name, term in _terms_of(frame, terms)]
    return tuple(facts)


def count_of(number: int, words: str) -> str:
    """Return a number with a noun, in the plural where it is not 1.

    Parameters
    ----------
    number : int
    words : str

    Returns
    -------
    str
    """
    noun, of, rest = words.partition(" of ")
    plural = noun + ("es" if noun.endswith("x") else "s") + of + rest
    return f"{number} {words if number == 1 else plural}"
