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
import csv
import hashlib
import json
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from dicomzarr.dataset import Volume, read_rows

SAME_MM = 0.01  # largest distance between corners of slices whose places count as equal
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
# In the JSON of dcm2niix: our name, and the factor to our unit.
FACTS = {"EchoTime": ("echo_time_ms", 1000.0), "InversionTime": ("inversion_time_ms", 1000.0)}
Corners = NDArray[np.float64]  # shape (4, 3), mm, LPS


class Place(NamedTuple):
    """Where a slice is: volume, index along t, index along z (or tile of a mosaic)."""

    volume: str
    t: int
    z: int


def content_key(plane: NDArray[Any]) -> str:
    """Return a digest of a slice that does not change when rows or columns are flipped or the type is wider."""
    wide = np.ascontiguousarray(plane.astype(np.float64 if plane.dtype.kind == "f" else np.int64) + 0)
    flips = (wide, wide[::-1], wide[:, ::-1], wide[::-1, ::-1])
    return hashlib.blake2b(min(flip.tobytes() for flip in flips), digest_size=16).hexdigest() + f" {plane.shape}"


def ranks(plane: NDArray[Any]) -> NDArray[Any]:
    """Return the rank of each value: the same before and after a rescale of the slice."""
    return np.unique(plane, return_inverse=True)[1].reshape(plane.shape)


def rectangle(origin: NDArray[Any], x: NDArray[Any], y: NDArray[Any]) -> Corners:
    """Return the centres of the four voxels at the corners of a slice."""
    return np.array([origin, origin + x, origin + y, origin + x + y])


def distance(first: Corners, second: Corners) -> float:
    """Return the largest distance from a corner of one slice to the nearest corner of the other."""
    between = np.linalg.norm(first[:, None] - second[None], axis=2)
    return float(max(between.min(axis=0).max(), between.min(axis=1).max()))


# ---- Both sides as slices


@dataclass
class Side:
    """The slices of one side, ours or the reference: where each content is, and where each slice lies."""

    contents: dict[str, list[Place]] = field(default_factory=lambda: defaultdict(list))
    volumes: dict[str, dict[Place, str]] = field(default_factory=dict)
    corners: dict[Place, Corners] = field(default_factory=dict)
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)
    blank: set[str] = field(default_factory=set)  # contents of a single value, which may be anywhere

    def add(self, place: Place, plane: NDArray[Any], corners: Corners | None, rescaled: bool = False) -> None:
        key = "ranks " + content_key(ranks(plane)) if rescaled else content_key(plane)
        self.contents[key].append(place)
        self.volumes.setdefault(place.volume, {})[place] = key
        if plane.min() == plane.max():
            self.blank.add(key)
        if corners is not None:
            self.corners[place] = corners


def read_reference(folder: Path) -> tuple[Side, int]:
    """Return the slices of the NIfTI files below a folder, and how many files without JSON were left out."""
    import nibabel

    side, without_json = Side(), 0
    for path in sorted([*folder.rglob("*.nii"), *folder.rglob("*.nii.gz")]):
        stem = path.name.removesuffix(".gz").removesuffix(".nii")
        if not path.with_name(stem + ".json").exists():
            without_json += 1
            continue
        name = str(path.relative_to(folder).with_name(stem))
        image = nibabel.load(path)
        data = np.asanyarray(image.dataobj.get_unscaled())
        colours = data.dtype.names  # RGB24
        data = np.stack([data[colour] for colour in colours], axis=-1) if colours else data[..., None]
        data = data.reshape(*(*data.shape[:-1], 1)[:3], -1, data.shape[-1])
        columns, rows, depth, times, channels = data.shape
        affine = LPS @ image.affine
        x, y = affine[:3, 0] * (columns - 1), affine[:3, 1] * (rows - 1)
        for t in range(times):
            for z in range(depth):
                plane = data[:, :, z, t].swapaxes(0, 1)
                corners = rectangle(affine[:3, 3] + affine[:3, 2] * z, x, y)
                plane = plane if channels > 1 else plane[..., 0]
                side.add(Place(name, t, z), plane, corners, rescaled=plane.dtype.kind == "f")
        side.facts[name] = reference_facts(path.with_name(stem), times)
    return side, without_json


def reference_facts(stem: Path, times: int) -> dict[str, Any]:
    """Return the series and the facts along t that dcm2niix wrote beside a NIfTI file."""
    header = json.loads(stem.with_name(stem.name + ".json").read_text(encoding="utf-8", errors="replace"))
    facts: dict[str, Any] = {"series": header.get("SeriesInstanceUID", ""), "times": times}
    for keyword, (name, factor) in FACTS.items():
        if isinstance(header.get(keyword), int | float):
            facts[name] = [header[keyword] * factor] * times
    bval = stem.with_name(stem.name + ".bval")
    if bval.exists():
        facts["b_value"] = [float(value) for value in bval.read_text().split()]
    return facts


def read_ours(dicom: Path, results: Path, with_ranks: bool) -> Side:
    """Return the slices of all arrays of a dataset; sheets of a mosaic are cut into their tiles."""
    side, dataset, series = Side(), results / "dataset", series_of_arrays(dicom, results)
    for row in read_rows(dataset):
        volume = Volume(dataset / "images.zarr" / row["array"])
        sizes = dict(zip(volume.axes, volume.shape, strict=True))
        side.facts[row["array"]] = volume.facts | {
            "sizes": sizes,
            "spacing": row["spacing_mm"],
            "series": series[row["array"]],
        }
        for t in range(sizes.get("t", 1)):
            for z in range(sizes.get("z", 1)):
                at = {"t": slice(t, t + 1), "z": slice(z, z + 1)}
                frame = volume.read(tuple(at.get(axis, slice(None)) for axis in volume.axes))
                frame = frame.reshape([n for axis, n in sizes.items() if axis in "cyx"])
                if "c" in sizes:
                    frame = np.moveaxis(frame, 0, -1)
                for tile, plane, corners in tiles_of(frame, z, side.facts[row["array"]]):
                    place = Place(row["array"], t, tile)
                    side.add(place, plane, corners)
                    if with_ranks:
                        side.contents["ranks " + content_key(ranks(plane))].append(place)
    return side


def tiles_of(frame: NDArray[Any], z: int, facts: dict[str, Any]) -> Iterator[tuple[int, NDArray[Any], Corners | None]]:
    """Yield a frame and its corners, or the tiles of a mosaic and theirs; with the index along z."""
    mosaic = facts.get("mosaic")
    if not isinstance(mosaic, dict):
        yield z, frame, corners_of(facts, z)
        return
    height, width, across = mosaic["rows"], mosaic["columns"], mosaic["across"]
    for tile in range(mosaic.get("tiles", across * mosaic["down"])):
        top, left = tile // across * height, tile % across * width
        plane = frame[top : top + height, left : left + width]
        yield tile, plane, corners_of_tile(facts, mosaic, tile)


def in_plane(facts: dict[str, Any], columns: int, rows: int) -> tuple[NDArray[Any], NDArray[Any]] | None:
    """Return the vectors from the first voxel to the last along x and y, if both spacings are known."""
    spacing = facts["spacing"].split("x")[-2:]
    if "orientation_lps" not in facts or len(spacing) < 2 or not all(spacing):
        return None
    cosines = np.array(facts["orientation_lps"])
    return cosines[:3] * float(spacing[1]) * (columns - 1), cosines[3:] * float(spacing[0]) * (rows - 1)


def corners_of(facts: dict[str, Any], z: int) -> Corners | None:
    """Return the corners of a slice from the affine, else from the positions of single slices."""
    columns, rows = facts["sizes"]["x"], facts["sizes"]["y"]
    if "affine_lps" in facts:
        affine = np.array(facts["affine_lps"])
        origin = affine[:3, 3] + affine[:3, 2] * z
        return rectangle(origin, affine[:3, 0] * (columns - 1), affine[:3, 1] * (rows - 1))
    vectors = in_plane(facts, columns, rows)
    if vectors is None:
        return None
    if "positions_lps" in facts:
        return rectangle(np.array(facts["positions_lps"][z]), *vectors)
    if "origin_lps" not in facts or (facts["sizes"].get("z", 1) > 1 and "positions_mm" not in facts):
        return None
    origin = np.array(facts["origin_lps"])
    if "positions_mm" in facts:
        normal = np.cross(facts["orientation_lps"][:3], facts["orientation_lps"][3:])
        origin = origin + normal * (facts["positions_mm"][z] - facts["positions_mm"][0])
    return rectangle(origin, *vectors)


def corners_of_tile(facts: dict[str, Any], mosaic: dict[str, Any], tile: int) -> Corners | None:
    vectors = in_plane(facts, mosaic["columns"], mosaic["rows"])
    if vectors is None:
        return None
    if "positions_lps" in mosaic:
        return rectangle(np.array(mosaic["positions_lps"][tile]), *vectors)
    if "first_position_lps" not in mosaic or "step_lps" not in mosaic:
        return None
    return rectangle(np.array(mosaic["first_position_lps"]) + tile * np.array(mosaic["step_lps"]), *vectors)


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


def series_uid(path: Path) -> str:
    """Return the Series Instance UID of a file."""
    from pydicom import dcmread

    header = dcmread(path, stop_before_pixels=True, force=True, specific_tags=["SeriesInstanceUID"])
    return str(header.get("SeriesInstanceUID", ""))


def private_rows(results: Path, table: str) -> Iterator[dict[str, str]]:
    with open(results / "private" / table, newline="", encoding="utf-8") as stream:
        yield from csv.DictReader(stream)


def series_of_arrays(dicom: Path, results: Path) -> dict[str, str]:
    """Return the Series Instance UID of each array."""
    first = {row["array"]: row["path"] for row in private_rows(results, "frames.csv")}
    return {array: series_uid(dicom / unquote(path)) for array, path in first.items()}


def reasons_by_series(dicom: Path, results: Path) -> dict[str, Counter[str]]:
    """Return for each Series Instance UID the reasons of its files that were not extracted."""
    reasons: dict[str, Counter[str]] = defaultdict(Counter)
    for row in private_rows(results, "files.csv"):
        if row["outcome"] in ("skipped", "quarantined"):
            reasons[series_uid(dicom / unquote(row["path"]))][row["reason"]] += 1
    return reasons


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
    cells += [f"{sum(mm <= SAME_MM for mm in known)} of {len(known)}", f"{max(known, default=0.0):.3g}"]
    for judged in (
        [v.order for v in whole],
        *([v.facts.get(n, "") for v in whole] for n in ("b_value", "echo_time_ms")),
    ):
        cells.append(f"{judged.count('same')} of {sum(map(bool, judged))}")
    return cells


HEAD = ("set", "reference", "whole", "scattered", "in part", "not found", "woven", "places equal", "largest mm")
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
    return compare(reference, ours, reasons_by_series(dicom, results)), without_json


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dicom", type=Path)
    parser.add_argument("results", type=Path)
    parser.add_argument("reference", type=Path, nargs="?")
    parser.add_argument("--sets", action="store_true", help="each argument is a folder of sets")
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
    for line in [HEAD, ("---",) * len(HEAD), *lines]:
        print("| " + " | ".join(map(str, line)) + " |")
    if arguments.details:
        print("", *details, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
