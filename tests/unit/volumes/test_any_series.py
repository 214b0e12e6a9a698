"""Any set of stacks with any facts: every frame in an array whose facts are true, never woven, never scattered.

Stacks are made with their truth: which stack a frame belongs to, and its slice. They lie at the same positions, shifted
against each other, interleaved, or shorter; positions are rounded; frames are dropped, doubled and shuffled.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from dataclasses import dataclass
from dataclasses import replace as changed
from typing import Any

import numpy as np
import pytest
from made_up_frames import AXIAL, SAGITTAL, checked_volumes, frame

from dicomzarr.volumes.model import Frame, Volume
from dicomzarr.volumes.stacking import lay_out
from dicomzarr.volumes.t_axis import CAUSES

# What may differ between the stacks of a series: the facts of the frame of stack `i`, slice `z`.
KINDS: dict[str, Any] = {
    "echo": lambda i, z: {"causes": {"echo_time_ms": 2.3 * (i + 1)}},
    "b-value": lambda i, z: {"causes": {"b_value": 500.0 * i, **direction(i)} if i else {}},
    "temporal position": lambda i, z: {"causes": {"temporal_position": i + 1.0}},
    "cardiac phase": lambda i, z: {"causes": {"cardiac_phase_percent": 10.0 * i}},
    "inversion time": lambda i, z: {"causes": {"inversion_time_ms": 100.0 * (i + 1)}},
    "kernel": lambda i, z: {"kernel": f"B{i}0f"},
    "component": lambda i, z: {"terms": {"complex_component": ("magnitude", "phase", "real", "imaginary")[i]}},
    "acquisition": lambda i, z: {"causes": {"acquisition_number": i + 1.0}},
    "trigger": lambda i, z: {"causes": {"trigger_time_ms": 40.0 * i}},
    "clock": lambda i, z: {"causes": {"acquisition_time_s": 1e8 + 7 * i}},
    "clock of slices": lambda i, z: {"causes": {"acquisition_time_s": 1e8 + 7 * i + 0.1 * z}},
    "number alone": lambda i, z: {"causes": {}},
}
# These only count or time: one even stack may hold several values of them.
COUNTING = ("acquisition", "trigger", "clock", "clock of slices", "number alone")
# Of these nothing is stated: a text that is never written, counters, and times that differ from slice to slice.
UNSTATED = ("kernel", "acquisition", "clock of slices", "number alone")


def direction(i: int) -> dict[str, float]:
    angle = 0.7 * i
    return {"b_vector_x": float(np.cos(angle)), "b_vector_y": float(np.sin(angle)), "b_vector_z": 0.0}


@dataclass
class Series:
    """Frames in any order, and what is true of them: `truth[source]` is the number of the stack, and the slice."""

    frames: list[Frame]
    truth: dict[int, tuple[int, int]]
    stacks: int
    placed: str
    doubled: bool


def made_up_series(kind: str, seed: int) -> Series:
    rng = random.Random(f"{kind} {seed}")
    axes = np.linalg.qr(np.array([[rng.gauss(0, 1) for _ in range(3)] for _ in range(3)]))[0]
    axes = axes if np.linalg.det(axes) > 0 else axes * np.array([1, 1, -1])
    decimals = rng.choice([1, 2, 3, 12])
    cosines = tuple(round(float(c), max(decimals, 2)) for c in (*axes[:, 0], *axes[:, 1]))
    origin = np.array([rng.uniform(-100, 100) for _ in range(3)])
    stacks, slices, step = rng.randint(1, 4), rng.randint(4, 9), rng.choice([2.0, 2.5, 4.0, 5.0])
    placed = rng.choice(["same", "shifted", "interleaved", "shorter"])
    # Not near to a regular part of the step: rounding could make one even stack of them.
    shift = {"same": 0.0, "shifted": 0.15 * step, "interleaved": step / stacks, "shorter": 0.0}[placed]
    frames: list[Frame] = []
    truth: dict[int, tuple[int, int]] = {}
    for i in range(stacks):
        for z in range(slices - (i % 2) * (placed == "shorter")):
            number = len(truth)
            place = tuple(round(float(c), decimals) for c in origin + axes[:, 2] * (shift * i + step * z))
            facts = dict(KINDS[kind](i, z))
            causes = {**facts.pop("causes", {}), "instance_number": number + 1.0}
            frames.append(frame(number, 0, causes, position=place, orientation=cosines, **facts))
            truth[number] = (i, z)
    for _ in range(rng.choice([0, 0, 0, 1, 2])):
        frames.pop(rng.randrange(len(frames)))
    doubled = rng.random() < 0.25
    if doubled:
        twin, number = rng.choice(frames), len(truth)
        truth[number] = truth[twin.source]
        frames.append(changed(twin, source=number, content=f"{number:064x}", sop_instance_uid=f"1.2.{number}"))
    rng.shuffle(frames)
    return Series(frames, truth, stacks, placed, doubled)


def stacks_at_each_time(volume: Volume, series: Series) -> list[set[int]]:
    found: dict[int | None, set[int]] = defaultdict(set)
    for place in volume.places:
        found[place.t].add(series.truth[place.frame.source][0])
    return list(found.values())


@pytest.mark.parametrize("kind", list(KINDS))
def test_no_array_is_woven_and_no_stack_is_scattered(kind: str) -> None:
    for seed in range(100):
        series = made_up_series(kind, seed)
        volumes = checked_volumes(series.frames)
        pieces: Counter[int] = Counter()
        for volume in volumes:
            for stacks in stacks_at_each_time(volume, series):
                pieces.update(stacks)
                is_one_even_stack = kind in COUNTING and series.placed == "interleaved"
                assert len(stacks) == 1 or is_one_even_stack, (seed, volume.why)
            assert "ambiguous_stack" not in volume.flags, seed
        # A doubled frame is the one that may stand by itself.
        assert all(count <= 1 + series.doubled for count in pieces.values()), (seed, pieces)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in UNSTATED])
def test_stated_facts_are_true_of_every_frame(kind: str) -> None:
    stated = 0
    for seed in range(100):
        series = made_up_series(kind, seed)
        for volume in checked_volumes(series.frames):
            frames = [place.frame for place in volume.places]
            stated += len(volume.acquisition) + bool(volume.t_axis)
            for name, value in volume.acquisition.items():
                keys = ("b_vector_x", "b_vector_y", "b_vector_z") if name == "b_vector" else (name,)
                wanted = value if isinstance(value, list) else [value]
                if name == "acquisition_time_s":  # from the first array of the group
                    assert len({f.causes[name] for f in frames}) == 1, seed
                    continue
                assert all([{**f.causes, **f.terms}[key] for key in keys] == wanted for f in frames), (seed, name)
            check_t_axis(volume)
    assert stated > 100


def check_t_axis(volume: Volume) -> None:
    if volume.t_axis is None:
        return
    means: Any = volume.t_axis["means"]
    rows: Any = volume.t_axis["values"]
    for place in volume.places:
        row = rows[place.t or 0]
        row = row if isinstance(row, list) else [row]
        for name, value in zip(means, row, strict=True):
            if name not in ("instance_number", "acquisition_number", "acquisition_time_s", "trigger_time_ms"):
                assert place.frame.causes.get(name) == value


CAUSE_KEYS = [*(key for cause in CAUSES for key in cause.keys), "slice_number", "in_concatenation_number"]
WORDS = [
    (),
    ("ORIGINAL", "PRIMARY", "M"),
    ("ORIGINAL", "PRIMARY", "M", "X"),
    ("O", "P", "M", "MOSAIC"),
    ("D", "S", "FAT"),
]


def wild_frames(rng: random.Random) -> list[Frame]:
    """Frames of files of any kind, with any causes, most of which contradict each other."""
    some = rng.sample(CAUSE_KEYS, rng.randint(0, 5))
    heights = [rng.choice([0, 1, 2, 3, 2.5, 0.1, 0.12345, 7]) for _ in range(6)]
    frames: list[Frame] = []
    for source in range(rng.randint(1, 9)):
        count, placed = rng.choice([1, 1, 1, 2, 5]), rng.random() < 0.9
        shared: dict[str, Any] = {
            "rows": rng.choice([4, 4, 8]),
            "modality": rng.choice(["MR", "MR", "CT", "NM", "CR", "SEG", "US"]),
            "image_type": rng.choice(WORDS),
            "kernel": rng.choice(["", "", "a"]),
            "terms": rng.choice([{}, {}, {"complex_component": "phase"}]),
            "frames_in_file": count,
            "concatenation": rng.choice(["", "", "", "1.9"]),
            "concatenation_offset": rng.choice([-1, 0, 3]),
            "orientation": rng.choice([AXIAL, AXIAL, (1.0, 1e-4, 0.0, -1e-4, 1.0, 0.0), SAGITTAL, None]),
            "pixel_spacing": rng.choice([(0.5, 0.25), (0.501, 0.25), None]),
        }
        stacks = rng.choice(["1", "1", "2", "12"])
        for number in range(count):
            causes = {key: float(rng.randint(0, 3)) for key in some if rng.random() < 0.9}
            place = (rng.choice([0.0, 0.0, 50.0, 0.01]), 0.0, float(rng.choice(heights))) if placed else None
            frames.append(
                changed(frame(source, 0, causes, **shared), number=number, position=place, stack=rng.choice(stacks))
            )
    return frames


def test_any_frames_have_one_place_each_whatever_their_order() -> None:
    for seed in range(400):
        rng = random.Random(seed)
        frames = wild_frames(rng)
        volumes = checked_volumes(frames)
        rng.shuffle(frames)
        assert lay_out(frames) == volumes, seed


@pytest.mark.parametrize("kind", list(KINDS))
def test_slices_rise_along_the_normal(kind: str) -> None:
    for seed in range(50):
        series = made_up_series(kind, seed)
        for volume in checked_volumes(series.frames):
            by_time: dict[int | None, list[int]] = defaultdict(list)
            for place in volume.places:
                by_time[place.t].append(place.frame.source)
            if series.placed != "interleaved":
                for sources in by_time.values():
                    slices = [series.truth[source][1] for source in sources]
                    assert slices == sorted(slices), seed
