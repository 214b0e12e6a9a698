"""Rates with their intervals, and the tables of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from benchmarks.text_in_pixels.drawing import CONTRASTS, SIZES

BEGIN = "<!-- text in pixels: made by benchmarks/burned_in.py -->"
END = "<!-- end of text in pixels -->"
Z = 1.959964  # of a two-sided interval of 95 %
Row = Mapping[str, Any]
ZONES = ("12 px and more, 50 % and more", "8 to 10 px, or 30 %")
FACTORS = ("script", "rotation", "polarity", "place", "kind", "font")
TITLES = {
    "script": "script",
    "rotation": "rotation",
    "polarity": "polarity",
    "place": "place",
    "kind": "image",
    "font": "font",
}


class Rate(NamedTuple):
    """A number of cases out of all, and the Wilson interval of 95 % of their part."""

    cases: int
    of: int

    @property
    def interval(self) -> tuple[float, float]:
        """Return the bounds in [0, 1]; (0, 1) without any case."""
        if not self.of:
            return 0.0, 1.0
        part = self.cases / self.of
        weight = 1 + Z * Z / self.of
        middle = (part + Z * Z / (2 * self.of)) / weight
        half = Z / weight * math.sqrt(part * (1 - part) / self.of + Z * Z / (4 * self.of**2))
        return max(0.0, round(middle - half, 9)), min(1.0, round(middle + half, 9))

    def __str__(self) -> str:
        if not self.of:
            return "–"
        low, high = self.interval
        return f"{_percent(self.cases / self.of)} % ({_percent(low)}–{_percent(high)})"

    def as_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        low, high = self.interval
        return {"cases": self.cases, "of": self.of, "low": round(low, 5), "high": round(high, 5)}


def _percent(part: float) -> str:
    """Return percent without decimals that say nothing: 100 and 0 only where all or none are meant."""
    percent = 100 * part
    text = f"{percent:.1f}"
    if (text == "100.0" and part < 1) or (text == "0.0" and part > 0):
        text = f"{percent:.2f}"
    return text.removesuffix(".0")


def rate(rows: Iterable[Row], meets: Callable[[Row], bool] = lambda row: bool(row["found"])) -> Rate:
    """Return how many rows meet a condition, of all."""
    found = [bool(meets(row)) for row in rows]
    return Rate(sum(found), len(found))


def zone(row: Row) -> str:
    """Return in which of the two zones a sample lies."""
    return ZONES[0] if row["size"] >= 12 and row["contrast"] >= 50 else ZONES[1]


def grouped(rows: Iterable[Row], key: Callable[[Row], Any]) -> dict[Any, list[Row]]:
    """Return rows by a key, in the order of its first row."""
    groups: dict[Any, list[Row]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return groups


def kind_of(row: Row) -> str:
    """Return the kind of image as it stands in the tables."""
    return f"{row['kind']}, {row['source']}"


def value_of(factor: str) -> Callable[[Row], str]:
    """Return what gives the value of a factor of a row."""
    return kind_of if factor == "kind" else lambda row: str(row[factor])


def table(head: Sequence[str], lines: Iterable[Sequence[object]]) -> str:
    """Return a table in Markdown."""
    rows = [head, ["---"] * len(head), *lines]
    return (
        "\n".join("| " + " | ".join(map(str, row)) + " |" for row in rows)
        .replace("| --- ", "|---")
        .replace("|--- ", "|---")
    )


def grid(rows: Sequence[Row]) -> dict[tuple[int, int], Rate]:
    """Return the recall by size and contrast."""
    cells = grouped(rows, lambda row: (row["size"], row["contrast"]))
    return {(size, contrast): rate(cells.get((size, contrast), ())) for size in SIZES for contrast in CONTRASTS}


def by_factor(rows: Sequence[Row], factor: str) -> dict[str, tuple[Rate, ...]]:
    """Return the recall by the values of a factor, in both zones."""
    groups = sorted(grouped(rows, value_of(factor)).items(), key=lambda pair: pair[0].rjust(3))
    return {value: tuple(rate(row for row in group if zone(row) == name) for name in ZONES) for value, group in groups}


def milliseconds(rows: Sequence[Row]) -> str:
    """Return the mean CPU time of frames in ms, with two digits that count."""
    if not rows:
        return "–"
    mean = 1000 * sum(row["cpu"] for row in rows) / len(rows)
    return f"{mean:.0f}" if mean >= 10 else f"{mean:.1f}" if mean >= 1 else f"{mean:.2f}"


def markdown(results: Mapping[str, Any]) -> str:
    """Return all tables.

    Parameters
    ----------
    results : mapping
        `rows` of samples and of `clean` images, `cpu` rows, rows of other tools in `beside`, and the facts.
    """
    rows, clean, facts = results["rows"], results["clean"], results["facts"]
    cells = grid(rows)
    with_text = [row for row in clean if row["has_text"]]
    without = [row for row in clean if not row["has_text"]]
    parts = [
        _facts(facts),
        "Texts that were found, by font size (height of capitals) and contrast:",
        table(
            ["font size", *(f"{contrast} %" for contrast in CONTRASTS)],
            [
                [f"{size} px ({round(0.72 * size)})", *(cells[size, contrast] for contrast in CONTRASTS)]
                for size in SIZES
            ],
        ),
        "The same samples by what else was varied:",
        table(
            ["", *ZONES],
            [
                ["all", *(rate(row for row in rows if zone(row) == name) for name in ZONES)],
                *(
                    [f"{TITLES[factor]}: {value}{'°' if factor == 'rotation' else ''}", *rates]
                    for factor in FACTORS
                    if factor != "font"
                    for value, rates in by_factor(rows, factor).items()
                ),
            ],
        ),
        "Images without text in which text was found (false alarms), and CPU time of the detector for each of them:",
        table(
            ["image", "frames", "false alarms", "CPU per frame, ms"],
            [
                [kind, len(group), rate(group), milliseconds(group)]
                for kind, group in sorted(grouped(without, kind_of).items())
            ],
        ),
        f"Real images with text of their own (ultrasound, test patterns): found in {rate(with_text).cases} of "
        f"{len(with_text)} frames."
        if with_text
        else "",
        "CPU time per frame in ms, by modality and size, made-up images without text:",
        table(
            ["image", *(f"{size} × {size}" for size in facts["cpu_sizes"])],
            [
                [kind, *(milliseconds([row for row in group if row["side"] == side]) for side in facts["cpu_sizes"])]
                for kind, group in grouped(results["cpu"], lambda row: row["kind"]).items()
            ],
        ),
    ]
    if results["beside"]:
        parts += _beside(results["beside"], facts)
    return "\n\n".join(part for part in parts if part)


def _facts(facts: Mapping[str, Any]) -> str:
    corpus = "pydicom's wheel and an open corpus" if facts["corpus"] else "pydicom's wheel (the corpus was not there)"
    return (
        f"Detector {facts['detector']}, {facts['per_cell']} samples of each size and contrast, {facts['made_up']} "
        f"made-up images of each modality and {facts['real']} different real frames, from {corpus}; seed "
        f"{facts['seed']}; {facts['machine']['processor']}, Python {facts['machine']['python']}, "
        f"{', '.join(f'{name} {found}' for name, found in facts['versions'].items())}; {facts['fonts_count']} fonts."
    )


def _beside(beside: Mapping[str, Any], facts: Mapping[str, Any]) -> list[str]:
    lines, notes = [], []
    for tool, answer in beside.items():
        if "unavailable" in answer:
            lines.append([tool, *["–"] * (len(ZONES) + 3)])
            notes.append(f"- {tool}: {answer['unavailable']}")
            continue
        rows, clean = answer["rows"], [row for row in answer["clean"] if not row["has_text"]]
        lines.append(
            [
                f"{tool} {answer['version']}",
                *(rate(row for row in rows if zone(row) == name) for name in ZONES),
                *(rate(row for row in clean if row["source"] == source) for source in ("made up", "real")),
                milliseconds(rows),
            ]
        )
        if answer["note"]:
            notes.append(f"- {tool}: {answer['note']}")
    head = ["", *ZONES, "false alarms, made up", "false alarms, real", "CPU per frame with text, ms"]
    return [
        f"Beside other tools, each on the same frames ({facts['beside_per_cell']} of each size and contrast):",
        table(head, lines),
        "\n".join(notes),
    ]


def write_into(page: str, text: str) -> str:
    """Return a page with a text between the two markers.

    Raises
    ------
    ValueError
        If the page lacks a marker, or has it twice.
    """
    if page.count(BEGIN) != 1 or page.count(END) != 1:
        raise ValueError(f"the page must have {BEGIN} and {END} once each")
    head, rest = page.split(BEGIN)
    return f"{head}{BEGIN}\n\n{text}\n\n{END}{rest.split(END)[1]}"
