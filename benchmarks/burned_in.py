"""Recall and false alarms of the detector of text in pixels, on made-up text over real and made-up images.

    python -m benchmarks.burned_in                                        about ten minutes on one core
    python -m benchmarks.burned_in --per-cell 20 --made-up 20             a look at it, one minute
    python -m benchmarks.burned_in --beside tesseract presidio dentdeid   other tools on a part of the same frames
    python -m benchmarks.burned_in --write-table docs/data-policy.md

Font size is that of the font in pixels; capitals are about 0.7 as high. Contrast is the distance of the text from the
median under it, in percent of the range of the frame. A text counts as found if a box meets it. Real images are those
of pydicom's wheel and of ../shared/corpus, if that is there. Writes burned_in/figures.json and burned_in/table.md in
the current folder; --pictures also writes what was missed and each false alarm. Other tools are installed from PyPI and
Debian into --environments, each into an environment of its own; nothing is installed on the machine.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from benchmarks.bench.measure import machine
from benchmarks.text_in_pixels import beside, drawing, figures, fonts, images, phantoms
from benchmarks.text_in_pixels.drawing import Sample
from benchmarks.text_in_pixels.images import Picture
from PIL import Image, ImageDraw

Boxes = Sequence[tuple[int, int, int, int]]  # top, left, bottom, right
Look = Callable[[Any], Boxes]
CPU_SIDES = (256, 512, 1024, 2048)
CPU_FRAMES = 3  # of each modality and size
BACKGROUNDS = 40  # made-up images of each modality that text is drawn on, and that are no clean images
PACKAGES = ("numpy", "onnxruntime", "pillow", "pydicom", "scipy")


def detector() -> ModuleType:
    """Return the detector."""
    from dicomzarr.burned_in import scan

    return scan


def ours(frame: Any) -> Boxes:
    """Look as extraction does."""
    scan = detector()
    return [(box.top, box.left, box.bottom, box.right) for box in scan.look(frame, allow_short=2)]


def meets(boxes: Boxes, place: tuple[int, int, int, int]) -> bool:
    """Return whether a box has a pixel in common with a place."""
    top, left, bottom, right = place
    return any(t < bottom and b > top and le < right and r > left for t, le, b, r in boxes)


def timed(look: Look, frame: Any) -> tuple[Boxes, float]:
    """Return the boxes and the CPU seconds of this process."""
    start = time.process_time()
    boxes = look(frame)
    return boxes, time.process_time() - start


def row_of(item: Sample | Picture, boxes: Boxes, cpu: float) -> dict[str, Any]:
    """Return the row of a frame: of a sample whether its text was found, of a picture whether anything was."""
    if isinstance(item, Sample):
        return {**item.factors.as_dict(), "found": meets(boxes, item.box), "boxes": len(boxes), "cpu": cpu}
    facts = {"kind": item.kind, "source": item.source, "has_text": item.has_text, "shape": item.frame.shape}
    return {**facts, "found": bool(boxes), "boxes": len(boxes), "cpu": cpu}


def wrong(row: dict[str, Any]) -> bool:
    """Return whether a text was missed, or a row is a false alarm."""
    return not row["found"] if "text" in row else bool(row["found"] and not row["has_text"])


def measure(look: Look, items: Iterable[Sample | Picture], pictures: Path | None = None) -> list[dict[str, Any]]:
    """Return a row for each frame; with a folder, draw those that are wrong."""
    rows = []
    for number, item in enumerate(items):
        boxes, cpu = timed(look, item.frame)
        rows.append(row_of(item, boxes, cpu))
        if pictures and wrong(rows[-1]):
            draw(pictures, number, item, boxes)
    return rows


def draw(folder: Path, number: int, item: Sample | Picture, boxes: Boxes) -> None:
    """Write a frame as PNG, with the boxes that were found; the name says what it is."""
    folder.mkdir(parents=True, exist_ok=True)
    values = item.frame.astype(np.float64)
    grey = ((values - values.min()) * (255 / (np.ptp(values) or 1))).astype(np.uint8)
    shown = Image.fromarray(grey.reshape(grey.shape[:2]) if grey.size == grey.shape[0] * grey.shape[1] else grey)
    shown = shown.convert("RGB")
    pen = ImageDraw.Draw(shown)
    for top, left, bottom, right in boxes:
        pen.rectangle((left, top, max(left, right - 1), max(top, bottom - 1)), outline="red")
    if isinstance(item, Sample):
        top, left, bottom, right = item.box
        pen.rectangle((left - 3, top - 3, right + 2, bottom + 2), outline="lime")
        facts = item.factors
        name = f"missed {facts.size}px {facts.contrast}% {facts.script} {facts.rotation} {facts.polarity} {facts.kind}"
    else:
        name = f"false alarm {item.kind} {item.source}"
    shown.save(folder / f"{name} {number:05}.png".replace(" ", "_"))


def cpu_rows(look: Look, seed: int, sides: Sequence[int]) -> list[dict[str, Any]]:
    """Return the CPU seconds of frames by modality and size; each is looked at twice, the second time counts."""
    rows = []
    for modality, make in phantoms.MADE_UP.items():
        for side in sides:
            for number in range(CPU_FRAMES):
                random = np.random.default_rng([seed, side, number])
                frame = make(random, side, side) if modality in ("CR", "US") else make(random, side)
                look(frame)
                rows.append({"kind": modality, "side": side, "cpu": timed(look, frame)[1]})
    return rows


def spread(clean: Sequence[Picture], count: int) -> list[Picture]:
    """Return the first `count` made-up images of each modality, one of each in turns; real ones but tiny ones."""
    made = [[one for one in clean if one.source != "real" and one.kind == kind][:count] for kind in phantoms.MADE_UP]
    real = [one for one in clean if one.source == "real" and not one.kind.endswith("tiny")]
    return [*(one for turn in zip(*made, strict=True) for one in turn), *real]


def beside_rows(
    tools: Sequence[str], items: Sequence[Sample | Picture], environments: Path, seconds: float
) -> dict[str, Any]:
    """Return the rows of ours and of other tools on the same frames; why a tool has none, if it cannot be had."""
    rows = measure(ours, items)
    answers: dict[str, Any] = {"ours": {"version": detector().DETECTOR, "note": "", **_split(rows)}}
    with tempfile.TemporaryDirectory(prefix="dicomzarr-text-") as folder:
        beside.write_frames(items, Path(folder))
        for tool in tools:
            try:
                answer = beside.ask(tool, Path(folder), environments, seconds)
            except beside.Unavailable as error:
                answers[tool] = {"unavailable": str(error)}
                continue
            looked = list(zip(items, answer.boxes, answer.cpu, strict=False))
            note = beside.NOTES[tool]
            if len(looked) < len(items):
                note += f"; the first {len(looked)} of {len(items)} frames, in {seconds:.0f} s"
            if answer.errors:
                note += f"; failed on {answer.errors} frames, counted as nothing found"
            rows = [row_of(item, boxes, cpu) for item, boxes, cpu in looked]
            answers[tool] = {"version": answer.version, "note": note, **_split(rows)}
    return answers


def _split(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {"rows": [row for row in rows if "text" in row], "clean": [row for row in rows if "text" not in row]}


def results(options: argparse.Namespace) -> dict[str, Any]:
    """Run the benchmark; return all rows and facts."""
    scan = detector()
    folders = images.folders(options.corpus)
    real, left_out = images.real(folders)
    backgrounds = [*real, *images.made_up(options.seed, min(BACKGROUNDS, options.made_up))]
    clean = [*real, *images.made_up(options.seed, options.made_up, first=BACKGROUNDS)]
    ours(backgrounds[-1].frame)  # loads the network
    say("text")
    rows = measure(ours, drawing.samples(backgrounds, options.per_cell, options.seed), options.pictures)
    say("images without text")
    clean_rows = measure(ours, clean, options.pictures)
    say("CPU time")
    sides = CPU_SIDES[: 1 + CPU_SIDES.index(options.largest)]
    cpu = cpu_rows(ours, options.seed, sides)
    others = {}
    if options.beside:
        say("beside other tools")
        per_cell = min(options.beside_per_cell, options.per_cell)
        some = spread(clean, options.beside_per_cell)
        texts = list(drawing.samples(backgrounds, per_cell, options.seed))
        mixed = [one for pair in zip(texts, some, strict=False) for one in pair]  # a slow tool looks at both
        mixed += [*texts[len(some) :], *some[len(texts) :]]
        others = beside_rows(options.beside, mixed, options.environments, options.beside_seconds)
    names = {script: [font.name for font in fonts.fonts_of(script)] for script in fonts.SCRIPTS}
    facts = {
        "detector": scan.DETECTOR,
        "thresholds": dict(scan.THRESHOLDS),
        "control": scan.control(),
        "seed": options.seed,
        "per_cell": options.per_cell,
        "made_up": options.made_up,
        "beside_per_cell": options.beside_per_cell,
        "real": len(real),
        "real_with_room_for_text": sum(picture.carries_text for picture in real),
        "left_out": dict(sorted(left_out.items())),
        "corpus": options.corpus.is_dir(),
        "machine": machine(),
        "versions": {package: version(package) for package in PACKAGES},
        "fonts": names,
        "fonts_count": len({font for found in names.values() for font in found}),
        "cpu_sizes": sides,
    }
    return {"facts": facts, "rows": rows, "clean": clean_rows, "cpu": cpu, "beside": others}


def as_json(made: dict[str, Any]) -> dict[str, Any]:
    """Return facts and rates as JSON values, without the rows of single frames."""
    rows = made["rows"]
    without = [row for row in made["clean"] if not row["has_text"]]

    def tool(answer: dict[str, Any]) -> dict[str, Any]:
        if "unavailable" in answer:
            return answer
        clean = [row for row in answer["clean"] if not row["has_text"]]
        return {
            **{name: answer[name] for name in ("version", "note")},
            "recall": {
                name: figures.rate(r for r in answer["rows"] if figures.zone(r) == name).as_dict()
                for name in figures.ZONES
            },
            "false_alarms": {
                kind: figures.rate(group).as_dict() for kind, group in figures.grouped(clean, figures.kind_of).items()
            },
            "cpu_ms": figures.milliseconds(answer["rows"]),
        }

    return {
        "facts": made["facts"],
        "zones": {
            name: figures.rate(row for row in rows if figures.zone(row) == name).as_dict() for name in figures.ZONES
        },
        "grid": {f"{size} px, {contrast} %": found.as_dict() for (size, contrast), found in figures.grid(rows).items()},
        "by": {
            factor: {
                value: [found.as_dict() for found in rates] for value, rates in figures.by_factor(rows, factor).items()
            }
            for factor in figures.FACTORS
        },
        "any_box": figures.rate(rows, lambda row: row["boxes"] > 0).as_dict(),
        "false_alarms": {
            kind: {**figures.rate(group).as_dict(), "cpu_ms": figures.milliseconds(group)}
            for kind, group in sorted(figures.grouped(without, figures.kind_of).items())
        },
        "cpu_ms": {
            f"{kind} {side}": figures.milliseconds(group)
            for (kind, side), group in figures.grouped(made["cpu"], lambda row: (row["kind"], row["side"])).items()
        },
        "beside": {name: tool(answer) for name, answer in made["beside"].items()},
    }


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--per-cell", type=int, default=200, help="samples of each size and contrast (200)")
    parser.add_argument("--made-up", type=int, default=300, help="made-up images without text of each modality (300)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--corpus", type=Path, default=images.CORPUS, help="folder of real DICOM files")
    parser.add_argument("--largest", type=int, choices=CPU_SIDES, default=2048, help="largest side for the CPU time")
    parser.add_argument("--beside", nargs="+", choices=sorted(beside.PACKAGES), default=[])
    parser.add_argument("--beside-per-cell", type=int, default=20, help="samples of each cell for other tools (20)")
    parser.add_argument("--beside-seconds", type=float, default=600, help="at most for each other tool (600)")
    parser.add_argument("--environments", type=Path, help="keep the environments of other tools in this folder")
    parser.add_argument("--pictures", type=Path, help="write what is wrong as PNG into this folder")
    parser.add_argument("--out", type=Path, default=Path("burned_in"))
    parser.add_argument("--write-table", type=Path, metavar="PAGE", help="write the tables between its two markers")
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> int:
    """Run the benchmark; return 1 if the control of the detector fails."""
    options = arguments(words)
    sys.path.insert(0, str(images.ROOT / "scripts"))
    page = options.write_table.read_text(encoding="utf-8") if options.write_table else ""
    if page:
        figures.write_into(page, "")  # fails now rather than at the end
    if not options.corpus.is_dir():
        say("the folder of the corpus is not there: real images are those of pydicom's wheel alone")
    with tempfile.TemporaryDirectory(prefix="dicomzarr-beside-") as temporary:
        options.environments = (options.environments or Path(temporary)).absolute()
        made = results(options)
    text = figures.markdown(made)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "figures.json").write_text(json.dumps(as_json(made), indent=1, ensure_ascii=False) + "\n")
    (options.out / "table.md").write_text(text + "\n")
    if page:
        options.write_table.write_text(figures.write_into(page, text), encoding="utf-8")
    print(text)
    return 0 if made["facts"]["control"] else 1


if __name__ == "__main__":
    sys.exit(main())
