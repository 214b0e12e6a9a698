"""Series of several difficulties: no array holds two scans, times or facts at one index of `t` without a flag.

Frames are made with their truth: scans that overlap, times, phases, echoes, b-values and parts of the body, numbered
and timed in several ways. Some positions are rounded or tilted, some frames are lost and some are copies.
"""

from __future__ import annotations

import math
import random
from dataclasses import replace

from made_up_frames import checked_volumes, frame

from dicomzarr.volumes.model import Frame, Volume

# Flags that say that slices, their places or their order are uncertain.
UNCERTAIN = {
    *("ambiguous_stack", "contested_place", "t_order_only", "uneven_spacing", "irregular_origins", "incomplete_grid"),
    "gap",
}
DIFFICULTIES = ("scans", "times", "phases", "echoes", "b_values", "parts", "lost", "copies", "rounded", "tilted")

Truth = tuple[int, int, int, int, int]  # scan, time, echo, b-value, phase


class Mixture:
    """A made-up series.

    Attributes
    ----------
    frames : list of Frame
    truth : dict of int to tuple
        By `Frame.source`: what all frames of an index of `t` must share.
    spans : list of range
        The places of each scan.
    """

    def __init__(self, seed: int) -> None:
        rng = random.Random(seed)
        has = set(rng.sample(DIFFICULTIES, rng.randint(2, 4)))
        self.step = rng.choice([1.25, 2.5, 3.0, 5.0])
        self.spans = [range(0, rng.randint(5, 10))]
        if "scans" in has:
            starts = [rng.randint(0, 6) for _ in range(rng.randint(2, 3))]
            self.spans = [range(start, start + rng.randint(5, 10)) for start in starts]
        counts = [
            rng.randint(2, 4) if name in has else 1 for name in ("times", "echoes", "b_values", "phases", "parts")
        ]
        times, echoes, b_values, phases, parts = counts
        items = [
            ((scan, time, echo, b_value, phase), z, (z - span.start) * parts // len(span))
            for scan, span in enumerate(self.spans)
            for time in range(times)
            for echo in range(echoes)
            for b_value in range(b_values)
            for phase in range(phases)
            for z in span
        ]
        by_slice = rng.random() < 0.4
        items.sort(
            key=lambda it: (it[0][0], it[2], it[1], it[0]) if by_slice else (*it[0][:2], it[2], *it[0][2:], it[1])
        )
        numbering = rng.choice(["on", "on", "again", "none", "any"])
        clock = rng.choice(["none", "of frames", "of scans and times", "of parts"])
        decimals = rng.choice([1, 2]) if "rounded" in has else 12
        slope = math.tan(math.radians(rng.choice([8, 17]))) if "tilted" in has else 0.0
        origin = [rng.uniform(-100, 100) for _ in range(3)]
        order = rng.sample(range(len(items)), len(items))
        seen: dict[Truth, int] = {}
        self.truth: dict[int, Truth] = {}
        self.frames: list[Frame] = []
        for number, (truth, z, part) in enumerate(items):
            scan, time, echo, b_value, phase = truth
            seen[truth] = seen.get(truth, 0) + 1
            causes: dict[str, float] = {}
            if numbering != "none":
                causes["instance_number"] = 1.0 + {"on": number, "again": seen[truth], "any": order[number]}[numbering]
            if clock != "none":
                of_part = 6000 * scan + 60 * time + 1000 * part
                causes["acquisition_time_s"] = (
                    1e8
                    + {
                        "of frames": 0.5 * number,
                        "of scans and times": 600.0 * scan + 60 * time,
                        "of parts": float(of_part),
                    }[clock]
                )
            causes |= {"echo_time_ms": 5.0 * echo} if echoes > 1 else {}
            causes |= {"b_value": 500.0 * b_value} if b_values > 1 else {}
            causes |= {"trigger_time_ms": 40.0 * phase} if phases > 1 else {}
            depth = self.step * z
            place = (origin[0], origin[1] + slope * depth, origin[2] + depth)
            one = frame(number, 0, causes, position=tuple(round(x, decimals) for x in place))
            self.truth[number] = truth
            if "lost" not in has or rng.random() > 2 / len(items):
                self.frames.append(one)
        for _ in range(2 if "copies" in has else 0):
            twin, number = rng.choice(self.frames), len(self.truth)
            self.truth[number] = self.truth[twin.source]
            self.frames.append(replace(twin, source=number, content=f"{number:064x}", sop_instance_uid=f"1.3.{number}"))
        rng.shuffle(self.frames)

    def is_mixed(self, volume: Volume) -> bool:
        """Whether slices of one index of `t` are of several groups, other than scans that follow each other."""
        found: dict[int | None, set[Truth]] = {}
        for place in volume.places if "z" in volume.axes else ():
            found.setdefault(place.t, set()).add(self.truth[place.frame.source])
        for groups in found.values():
            if len({group[2:] for group in groups}) > 1 or len({group[0] for group in groups}) < len(groups):
                return True
            spans = sorted((self.spans[group[0]] for group in groups), key=lambda span: span.start)
            if any(before.stop > after.start for before, after in zip(spans, spans[1:], strict=False)):
                return True
        return False


def test_nothing_is_mixed_without_a_flag() -> None:
    certain = 0
    for seed in range(200):
        series = Mixture(seed)
        volumes = checked_volumes(series.frames)
        for volume in volumes:
            assert UNCERTAIN & set(volume.flags) or not series.is_mixed(volume), (seed, volume.why)
        certain += not any(UNCERTAIN & set(volume.flags) for volume in volumes)
    assert certain > 60  # a flag is no excuse
