"""Compare the volumes of a dataset with those that dcm2niix makes of the same DICOM files.

    ./run --configfile my.yaml
    python -m benchmarks.volumes_beside_dcm2niix DICOM RESULTS [REFERENCE]
    python -m benchmarks.volumes_beside_dcm2niix --sets DICOM RESULTS [REFERENCE]

REFERENCE is a folder of NIfTI and JSON files of dcm2niix; without it, dcm2niix runs on DICOM (`-z n -b y -ba n -x i`).
With --sets, each subfolder of RESULTS is the result of one set, and the other two have a subfolder of the same name;
the files of a set may be in `In/` below it. Prints a table in Markdown, and with --details a line for each volume that
is not as the reference has it.

Slices are found by their content, whatever their order: dcm2niix flips rows, and cuts mosaics into their tiles. Where
it applied the rescale (float, since slopes differ), the ranks of the values are compared. NIfTI files without a JSON
file are left out: dcm2niix computed them from another one (tilt removed, slices interpolated).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.slices_by_content import (
    Place,
    Side,
    distance,
    header_positions,
    read_ours,
    read_reference,
    reasons_by_series,
)

SAME_MM = 0.01  # largest distance between corners of slices whose places count as equal

# ---- The comparison


@dataclass
class Verdict:
    """What became of one reference volume."""

    name: str
    arrays: list[str]  # whole in the only one; else those that hold it together
    missing: int = 0  # slices that are in no array
    slices: int = 0
    woven_with: set[str] = field(default_factory=set)
    largest_mm: float | None = None
    order: str = ""  # of t: same, other, or empty for one volume
    joined_with: list[str] = field(default_factory=list)  # other volumes that are whole in the same array
    along: str = ""  # what varies along t of that array
    off_header: tuple[float, float] | None = None  # largest distance from Image Position, mm: ours, dcm2niix
    repeated: bool = False  # slices that the reference has once are in the array several times
    facts: dict[str, str] = field(default_factory=dict)  # same, other, silent
    why: str = ""

    @property
    def place(self) -> str:
        if self.missing == self.slices:
            return "not found"
        if self.missing:
            return "in part"
        return "whole" if len(self.arrays) == 1 else "scattered"


def find_arrays(wanted: Counter[str], ours: Side, series: str) -> tuple[list[str], int]:
    """Return the fewest arrays that hold the slices (greedily), and how many slices none holds.

    Arrays of the same series come first: series may have equal pixels.
    """
    held: dict[str, Counter[str]] = defaultdict(Counter)
    for key in wanted:
        for place in ours.contents.get(key, ()):
            held[place.volume][key] += 1
    same_series = {array: keys for array, keys in held.items() if ours.facts[array]["series"] == series}
    if any(not wanted - keys for keys in same_series.values()):
        held = same_series
    left, arrays = Counter(wanted), []
    while held and +left:
        best = max(sorted(held), key=lambda array: (left & held[array]).total())
        if not (left & held[best]).total():
            break
        arrays.append(best)
        left -= held.pop(best)
    return arrays, left.total()


def woven(ours: Side, reference: Side) -> dict[str, set[tuple[str, int]]]:
    """Return the arrays whose axis z, at some index of t, needs several volumes of the reference, and these."""
    found: dict[str, set[tuple[str, int]]] = {}
    for array, slices in ours.volumes.items():
        stacks: dict[int, list[set[tuple[str, int]]]] = defaultdict(list)
        for place, key in slices.items():
            sources = {(other.volume, other.t) for other in reference.contents.get(key, ())}
            if sources and key not in ours.blank:
                stacks[place.t].append(sources)
        for stack in stacks.values():
            chosen: set[tuple[str, int]] = set()
            left = stack
            while left:
                counts = Counter(source for sources in left for source in sources)
                best = max(sorted(counts), key=counts.__getitem__)
                chosen.add(best)
                left = [sources for sources in left if best not in sources]
            if len(chosen) > 1:
                found[array] = found.get(array, set()) | chosen
    return found


def compare(reference: Side, ours: Side, reasons: dict[str, Counter[str]]) -> list[Verdict]:
    """Return a verdict for each reference volume."""
    verdicts, weaves = [], woven(ours, reference)
    for name, slices in reference.volumes.items():
        countable = Counter(key for key in slices.values() if key not in reference.blank) or Counter(slices.values())
        arrays, missing = find_arrays(countable, ours, reference.facts[name]["series"])
        verdict = Verdict(name, arrays, missing, countable.total())
        for chosen in weaves.values():
            if name in {volume for volume, _ in chosen}:
                verdict.woven_with |= {f"{volume}[{t}]" for volume, t in chosen if (volume, t) != (name, 0)}
        series = reference.facts[name]["series"]
        if missing:
            flags = {
                flag for facts in ours.facts.values() if facts["series"] == series for flag in facts.get("flags", ())
            }
            found = [f"{reason}:{n}" for reason, n in sorted(reasons.get(series, Counter()).items())]
            verdict.why = " ".join([*found, *(f"flag {flag}" for flag in sorted(flags))])
        elif len(arrays) > 1:
            verdict.why = f"arrays of {len({ours.facts[array]['series'] for array in arrays})} series"
        if len(arrays) == 1 and not missing:
            look_closer(verdict, slices, reference, ours)
        verdicts.append(verdict)
    whole_in: dict[str, list[str]] = defaultdict(list)
    for verdict in verdicts:
        if verdict.place == "whole":
            whole_in[verdict.arrays[0]].append(verdict.name)
    for verdict in verdicts:
        if verdict.place == "whole":
            content = set(reference.volumes[verdict.name].values())
            verdict.joined_with = [
                name
                for name in whole_in[verdict.arrays[0]]
                if name != verdict.name and set(reference.volumes[name].values()) != content  # the same files twice
            ]
            verdict.along = " ".join(ours.facts[verdict.arrays[0]].get("t_axis", {}).get("means", ()))
    return verdicts


def look_closer(verdict: Verdict, slices: dict[Place, str], reference: Side, ours: Side) -> None:
    """Compare places, order along t and facts of a volume that is whole in one array."""
    array, facts = verdict.arrays[0], reference.facts[verdict.name]
    same_content: dict[str, list[Place]] = defaultdict(list)
    for place, key in slices.items():
        same_content[key].append(place)
    certain: dict[int, set[int]] = defaultdict(set)  # by index of t: that of slices which occur once on both sides
    possible: dict[int, set[int]] = {}
    for key, places in same_content.items():
        partners = [other for other in ours.contents[key] if other.volume == array]
        if key in ours.blank:
            continue
        for t in {place.t for place in places}:
            possible[t] = possible.get(t, {other.t for other in partners}) & {other.t for other in partners}
        verdict.repeated |= len(places) < len(partners)
        if len(places) == len(partners) == 1:
            certain[places[0].t].add(partners[0].t)
        # Where times have equal pixels, each slice still has one place.
        if (
            len({place.z for place in places}) == len({other.z for other in partners}) == 1
            and partners[0] in ours.corners
        ):
            apart = distance(reference.corners[places[0]], ours.corners[partners[0]])
            verdict.largest_mm = max(apart, verdict.largest_mm or 0.0)
    order = [next(iter(certain[t])) for t in sorted(certain) if len(certain[t]) == 1]
    if facts["times"] > 1 and certain:
        unwoven = all(len(times) == 1 for times in certain.values())
        verdict.order = "same" if unwoven and all(a < b for a, b in zip(order, order[1:], strict=False)) else "other"
    for name, values in facts.items():
        if isinstance(values, list) and len(values) == facts["times"]:
            pairs = [(values[t], [fact(ours.facts[array], name, n) for n in sorted(ts)]) for t, ts in possible.items()]
            verdict.facts[name] = judge_fact(pairs)


def compare_with_headers(verdict: Verdict, reference: Side, ours: Side, positions: Mapping[Place, Any]) -> None:
    """Measure how far both sides are from the positions in the headers."""
    first, second = 0.0, 0.0
    by_key = {key: place for place, key in reference.volumes[verdict.name].items() if key not in reference.blank}
    for place, position in positions.items():
        other = by_key.get(ours.volumes[place.volume][place])
        if other is not None and place in ours.corners:
            first = max(first, float(np.linalg.norm(ours.corners[place] - position, axis=1).min()))
            second = max(second, float(np.linalg.norm(reference.corners[other] - position, axis=1).min()))
    if positions:
        verdict.off_header = first, second


def fact(facts: dict[str, Any], name: str, t: int) -> float | None:
    """Return a fact of our array at an index of t: constant, or along t."""
    axis = facts.get("t_axis", {})
    if name in axis.get("means", ()):
        value = axis["values"][t]
        if len(axis["means"]) > 1:
            value = value[axis["means"].index(name)]
        return None if value is None or np.isnan(value) else float(value)
    constant = facts.get("acquisition", {}).get(name)
    return None if constant is None else float(constant)


def judge_fact(pairs: list[tuple[float, list[float | None]]]) -> str:
    """Return how our possible values compare with the reference's; a b-value of 0 may be absent with us."""
    if not any(value is not None for _, values in pairs for value in values):
        return "silent" if any(expected for expected, _ in pairs) else "same"
    for expected, values in pairs:
        if not any(abs(expected - (value or 0.0)) <= 1e-3 * abs(expected) + 0.01 for value in values):
            return "other"
    return "same"


def run_dcm2niix(dicom: Path, folder: Path) -> None:
    command = ["dcm2niix", "-z", "n", "-b", "y", "-ba", "n", "-x", "i", "-d", "9", "-f", "%s_%d", "-o", str(folder)]
    subprocess.run([*command, str(dicom)], check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


# ---- Tables


def summary(verdicts: list[Verdict]) -> list[int | str]:
    """Return the cells of a row: counts over the reference volumes of a set."""
    places = Counter(verdict.place for verdict in verdicts)
    whole = [verdict for verdict in verdicts if verdict.place == "whole"]
    known = [verdict.largest_mm for verdict in whole if verdict.largest_mm is not None]
    cells: list[int | str] = [len(verdicts), places["whole"], places["scattered"], places["in part"]]
    cells += [places["not found"], sum(bool(verdict.woven_with) for verdict in verdicts)]
    cells.append(sum(bool(verdict.joined_with) for verdict in verdicts))
    cells += [f"{sum(mm <= SAME_MM for mm in known)} of {len(known)}", f"{max(known, default=0.0):.3g}"]
    for judged in (
        [v.order for v in whole],
        *([v.facts.get(n, "") for v in whole] for n in ("b_value", "echo_time_ms")),
    ):
        cells.append(f"{judged.count('same')} of {sum(map(bool, judged))}")
    return cells


BEGIN = "<!-- volumes beside dcm2niix: made by benchmarks/volumes_beside_dcm2niix.py -->"
END = "<!-- end of volumes beside dcm2niix -->"
HEAD = (
    "set",
    "reference",
    "whole",
    "scattered",
    "in part",
    "not found",
    "woven",
    "joined",
    "places equal",
    "largest mm",
)
HEAD += ("order of t", "b-values", "echo times")


def describe(verdict: Verdict) -> str:
    """Return one line about a volume that is not in every way as the reference has it, else an empty text."""
    notes = []
    if verdict.place != "whole":
        notes.append(f"{verdict.place}: {len(verdict.arrays)} arrays, {verdict.missing} of {verdict.slices} missing")
    if verdict.why:
        notes.append(verdict.why)
    if verdict.woven_with:
        notes.append("woven with " + " ".join(sorted(verdict.woven_with)[:6]))
    if verdict.place == "whole" and verdict.largest_mm is None:
        notes.append("no places to compare")
    if (verdict.largest_mm or 0.0) > SAME_MM:
        notes.append(f"up to {verdict.largest_mm:.3g} mm apart")
    if verdict.off_header:
        ours, theirs = verdict.off_header
        notes.append(f"from Image Position: ours {ours:.2g} mm, dcm2niix {theirs:.3g} mm")
    if verdict.joined_with:
        notes.append(f"in one array with {len(verdict.joined_with)} others along t: {verdict.along}")
    if verdict.repeated:
        notes.append("several times in the array")
    if verdict.order == "other":
        notes.append("other order along t")
    notes += [f"{name} {judged}" for name, judged in verdict.facts.items() if judged != "same"]
    return f"{verdict.name}: {'; '.join(notes)} ({' '.join(verdict.arrays[:4])})" if notes else ""


def one_set(dicom: Path, results: Path, folder: Path | None) -> tuple[list[Verdict], int]:
    """Compare one set; return the verdicts and the number of files of dcm2niix that were left out."""
    with tempfile.TemporaryDirectory() as temporary:
        if folder is None:
            run_dcm2niix(dicom, folder := Path(temporary))
        reference, without_json = read_reference(folder)
    with_ranks = any(key.startswith("ranks ") for key in reference.contents)
    ours = read_ours(dicom, results, with_ranks)
    verdicts = compare(reference, ours, reasons_by_series(dicom, results))
    for verdict in verdicts:
        if (verdict.largest_mm or 0.0) > SAME_MM:
            compare_with_headers(verdict, reference, ours, header_positions(dicom, results, verdict.arrays[0]))
    return verdicts, without_json


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dicom", type=Path)
    parser.add_argument("results", type=Path)
    parser.add_argument("reference", type=Path, nargs="?")
    parser.add_argument("--sets", action="store_true", help="each argument is a folder of sets")
    parser.add_argument("--page", type=Path, help="also write the table into this page, between its two markers")
    parser.add_argument("--details", action="store_true", help="also list the volumes that differ")
    arguments = parser.parse_args()
    names = sorted(p.name for p in arguments.results.iterdir() if (p / "dataset").is_dir()) if arguments.sets else [""]
    lines, everything, details = [], [], []
    for name in names:
        dicom = arguments.dicom / name
        dicom = dicom / "In" if arguments.sets and (dicom / "In").is_dir() else dicom
        folder = arguments.reference / name if arguments.reference else None
        verdicts, _ = one_set(dicom, arguments.results / name, folder)
        everything += verdicts
        lines.append([name or dicom.name, *summary(verdicts)])
        details += [f"- {name}: {line}" if name else f"- {line}" for line in map(describe, verdicts) if line]
    if len(lines) > 1:
        lines.append(["all", *summary(everything)])
    table = "\n".join("| " + " | ".join(map(str, line)) + " |" for line in [HEAD, ("---",) * len(HEAD), *lines])
    print(table)
    if arguments.details:
        print("", *details, sep="\n")
    if arguments.page:
        page = arguments.page.read_text(encoding="utf-8")
        before, rest = page.split(BEGIN)
        arguments.page.write_text(f"{before}{BEGIN}\n\n{table}\n\n{END}{rest.split(END)[1]}", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
