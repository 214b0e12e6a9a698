"""docs/volumes.md: its figures are current, and the comparison behind its table distinguishes right from wrong."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT))

from benchmarks.slices_by_content import Place, Side, content_key, rectangle, tiles_of
from benchmarks.volumes_beside_dcm2niix import Verdict, compare, compare_with_headers, summary

PAGE = (ROOT / "docs" / "volumes.md").read_text()


def test_figures_are_current_and_each_is_shown_once() -> None:
    command = [sys.executable, str(ROOT / "docs" / "figures.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    shown = re.findall(r"\(images/(volumes-[\w-]+\.svg)\)", PAGE)
    assert sorted(shown) == sorted(path.name for path in (ROOT / "docs" / "images").glob("volumes-*.svg"))


# ---- The comparison


def picture(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 4000, (6, 5), dtype=np.int16)


def side(volumes: dict[str, list[list[int]]], step: float = 2.0, **facts: object) -> Side:
    """Return a side whose volumes have pictures by `[t][z]`, with a distance between slices."""
    made = Side()
    for name, times in volumes.items():
        made.facts[name] = {"series": "1.2", "times": len(times), **facts}
        for t, numbers in enumerate(times):
            for z, number in enumerate(numbers):
                corners = rectangle(np.array([0.0, 0.0, step * z]), np.array([4.0, 0, 0]), np.array([0, 5.0, 0]))
                made.add(Place(name, t, z), picture(number), corners)
    return made


def verdicts(reference: Side, ours: Side) -> dict[str, Verdict]:
    return {verdict.name: verdict for verdict in compare(reference, ours, {"1.2": Counter({"duplicate": 3})})}


def test_flipped_slices_of_a_wider_type_have_the_same_key() -> None:
    plane = picture(1)
    keys = {content_key(p) for p in (plane, plane[::-1], plane[:, ::-1], plane.astype(np.int32)[::-1, ::-1])}
    assert len(keys) == 1
    assert content_key(picture(2)) not in keys and content_key(plane.T) not in keys


def test_a_volume_in_reverse_order_is_whole_and_in_its_place() -> None:
    ours = Side()
    reference = side({"a": [[1, 2, 3, 4]]})
    for place, corners in side({"x": [[1, 2, 3, 4]]}).corners.items():
        ours.add(Place("x", 0, 3 - place.z), picture(place.z + 1), corners)
    ours.facts["x"] = {"series": "1.2"}
    found = verdicts(reference, ours)["a"]
    assert (found.place, found.arrays, found.woven_with, found.order) == ("whole", ["x"], set(), "")
    assert found.largest_mm == 0.0


def test_a_wrong_distance_is_measured() -> None:
    found = verdicts(side({"a": [[1, 2, 3, 4]]}), side({"x": [[1, 2, 3, 4]]}, step=2.5))["a"]
    assert found.place == "whole" and found.largest_mm == pytest.approx(1.5)


def test_the_headers_decide_which_side_is_right() -> None:
    reference, ours = side({"a": [[1, 2, 3]]}, step=2.5), side({"x": [[1, 2, 3]]})
    found = verdicts(reference, ours)["a"]
    compare_with_headers(found, reference, ours, {Place("x", 0, z): np.array([0.0, 0.0, 2.0 * z]) for z in range(3)})
    assert found.off_header == (0.0, 1.0)


def test_a_volume_in_pieces_is_scattered() -> None:
    found = verdicts(side({"a": [[1, 2, 3, 4]]}), side({"x": [[1, 2]], "y": [[3, 4]]}))["a"]
    assert (found.place, found.arrays) == ("scattered", ["x", "y"])


def test_two_volumes_on_one_axis_z_are_woven_and_on_one_axis_t_are_not() -> None:
    reference = side({"a": [[1, 2, 3]], "b": [[4, 5, 6]]})
    woven = verdicts(reference, side({"x": [[1, 4, 2, 5, 3, 6]]}))
    assert woven["a"].place == woven["b"].place == "whole"
    assert woven["a"].woven_with == {"b[0]"} and woven["b"].woven_with == {"a[0]"}
    joined = verdicts(reference, side({"x": [[1, 2, 3], [4, 5, 6]]}))
    assert joined["a"].place == joined["b"].place == "whole"
    assert not joined["a"].woven_with and not joined["b"].woven_with
    assert joined["a"].joined_with == ["b"] and joined["b"].joined_with == ["a"]


def test_times_of_one_volume_on_one_axis_z_are_woven() -> None:
    found = verdicts(side({"a": [[1, 2], [3, 4]]}), side({"x": [[1, 4], [3, 2]]}))["a"]
    assert found.woven_with == {"a[1]"} and found.order == "other"


def test_lost_slices_have_the_reasons_of_their_series() -> None:
    reference = side({"a": [[1, 2, 3]], "b": [[7, 8]]})
    found = verdicts(reference, side({"x": [[1, 2]]}))
    assert (found["a"].place, found["a"].missing, found["a"].why) == ("in part", 1, "duplicate:3")
    assert found["b"].place == "not found"
    assert summary(list(found.values()))[:7] == [2, 0, 0, 1, 1, 0, 0]


@pytest.mark.parametrize(
    ("values", "judged"), [([0.0, 1000.0], "same"), ([None, 1000.0], "same"), ([1000.0, 0.0], "other")]
)
def test_b_values_along_t(values: list[float | None], judged: str) -> None:
    reference = side({"a": [[1, 2], [3, 4]]}, b_value=[0.0, 1000.0])
    ours = side({"x": [[1, 2], [3, 4]]}, t_axis={"means": ["b_value"], "values": values})
    found = verdicts(reference, ours)["a"]
    assert found.facts["b_value"] == judged and found.order == "same"


def test_a_constant_fact_is_read_from_acquisition_and_silence_is_not_the_same() -> None:
    reference = side({"a": [[1, 2]]}, echo_time_ms=[30.0])
    stated = verdicts(reference, side({"x": [[1, 2]]}, acquisition={"echo_time_ms": 30.0}))["a"]
    assert stated.facts == {"echo_time_ms": "same"}
    assert verdicts(reference, side({"x": [[1, 2]]}))["a"].facts == {"echo_time_ms": "silent"}


def test_sheets_of_a_mosaic_are_cut_into_their_tiles() -> None:
    sheet = np.block([[picture(1), picture(2)], [picture(3), np.zeros_like(picture(1))]])
    mosaic = {"across": 2, "down": 2, "rows": 6, "columns": 5, "tiles": 3}
    mosaic |= {"first_position_lps": [0.0, 0.0, 0.0], "step_lps": [0.0, 0.0, 2.0]}
    facts = {"mosaic": mosaic, "orientation_lps": [1.0, 0, 0, 0, 1, 0], "spacing": "1x1", "sizes": {"x": 10, "y": 12}}
    cut = list(tiles_of(sheet, 0, facts))
    assert [z for z, _, _ in cut] == [0, 1, 2]
    assert all(np.array_equal(plane, picture(z + 1)) for z, plane, _ in cut)
    assert cut[2][2] is not None and cut[2][2].tolist() == [[0, 0, 4], [4, 0, 4], [0, 5, 4], [4, 5, 4]]
