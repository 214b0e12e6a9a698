"""Facts of acquisition: which of them keep frames apart, and which are the same for all frames of an array.

A fact keeps frames apart if frames that differ in it never share an axis `z`: an echo time, a b-value, a cardiac phase.
Counters and clocks do not: slices of one volume may be counted and timed as they come.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Final

from dicomzarr.volumes import geometry
from dicomzarr.volumes.frame_attributes import B_VECTOR, B_VECTOR_OF_IMAGE, VELOCITY
from dicomzarr.volumes.model import Frame, Volume


@dataclass(frozen=True, slots=True)
class Fact:
    """A physical fact: its name in the attributes, its keys in `Frame.causes`, and the difference that is none."""

    name: str
    keys: tuple[str, ...]
    tolerance: float
    may_count: bool = False  # some writers count images, or slices: it says nothing where each has a value of its own
    instead_of: str = ""  # a fact only where no frame has this cause
    may_follow_slice: bool = False  # some scanners choose a value for each slice: it says nothing where all differ


FACTS: Final[tuple[Fact, ...]] = (
    Fact("temporal_position", ("temporal_position",), 1e-6, may_count=True),
    Fact("echo_time_ms", ("echo_time_ms",), 0.01),
    Fact("echo_number", ("echo_number",), 1e-6, may_count=True, instead_of="echo_time_ms"),
    Fact("b_value", ("b_value",), 0.5),  # s/mm2; some scanners state the effective one, slice by slice
    Fact("b_vector", B_VECTOR, 2e-3),
    Fact("b_vector_of_image", B_VECTOR_OF_IMAGE, 2e-3),
    Fact("inversion_time_ms", ("inversion_time_ms",), 1e-3, may_follow_slice=True),
    Fact("flip_angle_deg", ("flip_angle_deg",), 1e-3, may_follow_slice=True),
    Fact("velocity_max_cm_s", ("velocity_max_cm_s",), 1e-3),
    Fact("velocity_vector", VELOCITY, 1e-4),
    Fact("cardiac_phase_percent", ("cardiac_phase_percent",), 1e-3, may_count=True),
    Fact("respiratory_phase_percent", ("respiratory_phase_percent",), 1e-3, may_count=True),
    Fact("kvp", ("kvp",), 1.0),  # the tube drifts
    Fact("monoenergetic_kev", ("monoenergetic_kev",), 1e-3),
    # Numbers of the vectors of Nuclear Medicine (PS3.3 C.8.4.8).
    *(
        Fact(name, (name,), 1e-6, may_count=True)
        for name in (
            *("energy_window", "detector", "phase", "rotation", "rr_interval", "time_slot"),
            *("angular_view", "time_slice"),
        )
    ),
)
# Some scanners measure these for each slice, and some converters compute them: values that differ by less than
# `NOISE` of the smallest may be one value.
_MAY_BE_NOISY: Final = ("echo_time_ms", "b_value", "inversion_time_ms", "flip_angle_deg", "kvp", "monoenergetic_kev")
NOISE: Final = 0.05
# Largest value that a fact with the form of a counter may have; above it may be a date, and becomes a rank.
LARGEST_COUNT: Final = 99_999
# A delay of so much is a clock, or a date without its zero: 17 minutes after a heart beat, 2.8 hours into a scan.
SHORTEST_CLOCK: Final = {"trigger_time_ms": 1e6, "frame_reference_time_s": 1e4, "temporal_offset_s": 1e4}

Value = tuple[float, ...] | None
Class = tuple[Value, ...]


def value_of(frame: Frame, fact: Fact) -> Value:
    """Return the value of a fact, or None where the frame lacks it.

    Parameters
    ----------
    frame : Frame
    fact : Fact

    Returns
    -------
    tuple of float, or None
    """
    causes = frame.causes
    if fact.keys[0] not in causes:  # nearly all
        return None
    return tuple(causes[key] for key in fact.keys) if all(key in causes for key in fact.keys) else None


def replaced(fact: Fact, frames: Sequence[Frame]) -> bool:
    """Return whether another fact of the frames says the same better.

    Parameters
    ----------
    fact : Fact
    frames : sequence of Frame

    Returns
    -------
    bool
    """
    return bool(fact.instead_of) and any(fact.instead_of in frame.causes for frame in frames)


def classes_of(frames: Sequence[Frame]) -> dict[Class, list[Frame]]:
    """Sort frames by the facts that keep them apart.

    Parameters
    ----------
    frames : sequence of Frame

    Returns
    -------
    dict of tuple to list of Frame
        By the value of each of `FACTS`; None where the fact is unknown, or keeps nothing apart.
    """
    columns: list[list[Value]] = []
    present = {key for frame in frames for key in frame.causes}
    for fact in FACTS:
        if fact.keys[0] not in present:
            columns.append([None] * len(frames))
            continue
        values = [value_of(frame, fact) for frame in frames]
        known = {value for value in values if value is not None}
        if not known or replaced(fact, frames) or (fact.may_count and len(known) == len(frames) > 1):
            columns.append([None] * len(frames))
            continue
        if len(known) == 1:
            columns.append(values)
            continue
        if (fact.may_follow_slice or fact.may_count) and _has_one_for_each_slice(frames, values):
            columns.append([None] * len(frames))
            continue
        groups = dict(zip(sorted(known), geometry.cluster(sorted(known), fact.tolerance), strict=True))
        leaders: dict[int, Value] = {}
        for value in sorted(known):
            leaders.setdefault(groups[value], value)
        columns.append([None if value is None else leaders[groups[value]] for value in values])
    found: dict[Class, list[Frame]] = {}
    for frame, key in zip(frames, zip(*columns, strict=True), strict=True):
        found.setdefault(key, []).append(frame)
    return found


def without_noise(frames: Sequence[Frame]) -> list[Frame]:
    """Return frames without small differences of echo time, b-value and the like.

    Parameters
    ----------
    frames : sequence of Frame

    Returns
    -------
    list of Frame
        The same frames, if nothing differs so. Values that differ by less than `NOISE` become their median; where all
        frames have such values, they have none, for none is that of all.
    """
    found = list(frames)
    for name in _MAY_BE_NOISY:
        values = sorted(frame.causes[name] for frame in frames if name in frame.causes)
        runs: list[list[float]] = []
        for value in values:
            if runs and value <= runs[-1][0] * (1 + NOISE):
                runs[-1].append(value)
            else:
                runs.append([value])
        if all(run[0] == run[-1] for run in runs):
            continue
        if len(runs) == 1 and len(values) == len(frames):
            found = [_without(frame, name) for frame in found]
            continue
        middle = {value: round(median(run), 6) for run in runs for value in run}
        found = [
            replace(frame, causes={**frame.causes, name: middle[frame.causes[name]]}) if name in frame.causes else frame
            for frame in found
        ]
    return found


def without_what_follows_slices(frames: Sequence[Frame]) -> list[Frame]:
    """Return frames without the flip angle or the inversion time, if each slice has one, of three or more.

    Parameters
    ----------
    frames : sequence of Frame

    Returns
    -------
    list of Frame
        The same frames, if there is no such fact.
    """
    found = list(frames)
    for fact in FACTS:
        values = [value_of(frame, fact) for frame in frames] if fact.may_follow_slice else []
        if len(set(values)) > 2 and None not in values and _has_one_at_each_place(frames, values):
            found = [_without(frame, fact.name) for frame in found]
    return found


def _without(frame: Frame, name: str) -> Frame:
    return replace(frame, causes={key: value for key, value in frame.causes.items() if key != name})


def _has_one_for_each_slice(frames: Sequence[Frame], values: Sequence[Value]) -> bool:
    """Return whether each of three or more slices has a value of its own, the same for all of its frames."""
    places = {_place_of(frame) for frame in frames}
    return len(places) >= 3 and len(set(values)) == len(places) and _has_one_at_each_place(frames, values)


def _has_one_at_each_place(frames: Sequence[Frame], values: Sequence[Value]) -> bool:
    """Return whether all frames at a place have the same value."""
    pairs = {(_place_of(frame), value) for frame, value in zip(frames, values, strict=True)}
    return all(frame.position for frame in frames) and len(pairs) == len({place for place, _ in pairs})


def _place_of(frame: Frame) -> tuple[float, ...]:
    return tuple(round(x, 3) for x in frame.position or ())


def are_compatible(classes: Sequence[Class]) -> bool:
    """Return whether classes differ only in facts that some of them lack.

    Parameters
    ----------
    classes : sequence of tuple
        Keys of `classes_of`.

    Returns
    -------
    bool
    """
    return all(len({value for value in column if value is not None}) <= 1 for column in zip(*classes, strict=True))


def order_of(key: Class) -> tuple[tuple[float, ...], ...]:
    """Return the sort key of a class along `t`: fact by fact, unknown values first.

    Directions have no order: classes that differ in a direction alone are in the order in which they were acquired.

    Parameters
    ----------
    key : tuple
        A key of `classes_of`.

    Returns
    -------
    tuple
    """
    pairs = zip(FACTS, key, strict=True)
    return tuple(() if value is None else value for fact, value in pairs if len(fact.keys) == 1)


def directions_of(key: Class) -> tuple[tuple[float, ...], ...]:
    """Return the directions among the facts of a class.

    Parameters
    ----------
    key : tuple
        A key of `classes_of`.

    Returns
    -------
    tuple
    """
    return tuple(value for fact, value in zip(FACTS, key, strict=True) if len(fact.keys) > 1 and value is not None)


def constant_facts(frames: Sequence[Frame]) -> dict[str, object]:
    """Return the facts of acquisition that are the same for all frames.

    Parameters
    ----------
    frames : sequence of Frame
        The frames of one array.

    Returns
    -------
    dict of str to object
        Name to a number, a list of numbers, or a term of a closed vocabulary.
    """
    found: dict[str, object] = {}
    for fact in FACTS:
        value = value_of(frames[0], fact)
        if value is None or any(not _agree(value, value_of(frame, fact), fact.tolerance) for frame in frames[1:]):
            continue
        if (fact.may_count and max(map(abs, value)) > LARGEST_COUNT) or replaced(fact, frames):
            continue
        found[fact.name] = value[0] if len(value) == 1 else list(value)
    for delay, clock in SHORTEST_CLOCK.items():
        if abs(frames[0].causes.get(delay, 0.0)) < clock:
            _put_if_same(found, delay, [frame.causes.get(delay) for frame in frames])
    for name in sorted(frames[0].terms):
        _put_if_same(found, name, [frame.terms.get(name) for frame in frames])
    for name in sorted(frames[0].constants):
        _put_if_same(found, name, [frame.constants.get(name) for frame in frames])
    return found


def without_medians(volume: Volume, frames: Sequence[Frame]) -> Volume:
    """Return a volume without facts in `acquisition` that are the median of values which differ from slice to slice.

    Parameters
    ----------
    volume : Volume
    frames : sequence of Frame
        Its frames as they were read.

    Returns
    -------
    Volume
    """
    tolerance = {fact.name: fact.tolerance for fact in FACTS}
    medians = set()
    for name in volume.acquisition.keys() & set(_MAY_BE_NOISY):
        values = [frame.causes[name] for frame in frames if name in frame.causes]
        if values and max(values) - min(values) > tolerance[name]:
            medians.add(name)
    stated = {name: value for name, value in volume.acquisition.items() if name not in medians}
    return replace(volume, acquisition=stated) if medians else volume


def _agree(first: tuple[float, ...], other: Value, tolerance: float) -> bool:
    if other == first:  # nearly all
        return True
    return other is not None and all(abs(a - b) <= tolerance for a, b in zip(first, other, strict=True))


def _put_if_same(found: dict[str, object], name: str, values: Sequence[Hashable]) -> None:
    if values[0] is not None and len(set(values)) == 1:
        found[name] = values[0]
