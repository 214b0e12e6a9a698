"""Results with images that were set aside for text in their pixels: records, pictures, a plan; and `./run review`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw
from viewed_dataset import Viewer, start

from dicomzarr.records import plan, record_file
from dicomzarr.records.series_record import SeriesRecord
from dicomzarr.system.results_folder import Results

SECRET = "MILLER"  # in paths and headers of the source: must never be printed or sent
CT, US = "aaa0000000000001", "bbb0000000000002"  # series
STAT = [1, 2, 3, 4]


def content(number: int) -> str:
    """Return a digest; those of different numbers differ in their first digits."""
    return f"{number:08x}" + "5" * 56


def outcome(number: int, reason: str = "text_in_pixels") -> list[Any]:
    """Return the row of a file in a series record."""
    result = "skipped" if reason else "extracted"
    return [f"{SECRET}/{number}.dcm", STAT, content(number), result, reason, "", None, None]


def write_record(results: Results, series_id: str, rows: Sequence[Any], text: dict[str, Any], **changes: Any) -> Path:
    """Write the record of a series, with the field `text`."""
    record = SeriesRecord(series_id, "", "s", (), {}, "", tuple(rows), ())
    fields = {**record.to_json(), "looked": {}, "text": text, **changes}
    path = results.series_record("extract_batch", series_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(record_file.to_bytes(SeriesRecord.SCHEMA, fields).data)
    return path


def write_picture(results: Results, series_id: str, digest: str) -> Path:
    """Write the picture of an image."""
    path = results.private / "text" / series_id / f"{digest}.jpg"
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", (320, 200), (40, 40, 40))
    ImageDraw.Draw(image).rectangle((20, 20, 120, 50), outline=(255, 0, 0))
    image.save(path, quality=85)
    return path


def write_results(root: Path, others: int = 0) -> Results:
    """Write results: of a CT, images 1 and 2, the second without a picture; of an ultrasound, 3, and `others` from 100.

    Image 9 of the CT is extracted.
    """
    results = Results(root)
    more = range(100, 100 + others)
    write_record(
        results,
        CT,
        [outcome(1), outcome(2), outcome(9, "")],
        {content(1): [[0, 10, 30, 24, 120, "strokes"], [2, 1, 2, 3, 4, "network"]]},
    )
    write_record(
        results,
        US,
        [outcome(number) for number in (3, *more)],
        {content(3): [[-1, 5, 6, 17, 80, "strokes"]]}
        | {content(number): [[0, 1, 2, 9, 90, "strokes"]] for number in more},
    )
    write_picture(results, CT, content(1))
    for number in (3, *more):
        write_picture(results, US, content(number))
    numbers = {CT: (1, 2, 9), US: (3, *more)}
    for batch in ("0002-0000", "0002-0001"):
        lines = [
            plan.series_json(
                [row(number, modality) for number in numbers[series_id]],
                [],
                [],
                json.dumps(
                    {"flags": [], "series_id": series_id, "study_id": "", "subject_id": "s"}, separators=(",", ":")
                ).encode(),
            )
            for series_id, modality in ((CT, "CT"), (US, SECRET))
            if plan.batch_of(series_id, 2) == batch
        ]
        results.plans.mkdir(exist_ok=True)
        results.plan(batch).write_bytes(plan.plan_json(batch, lines))
    (results.private / "files.csv").write_text(
        "path,outcome,reason,series_id\n"
        + "".join(
            f"{SECRET}/{n}.dcm,skipped,text_in_pixels,{s}\n" for s, all_n in numbers.items() for n in all_n if n != 9
        )
    )
    return results


def row(number: int, modality: str) -> bytes:
    """Return the row of a file in the header index."""
    facts = {"Modality": modality, "PatientName": SECRET}
    fields = {"path": f"{SECRET}/{number}.dcm", "stat": STAT, "outcome": "image", "reason": "", "flags": []}
    return json.dumps({**fields, "facts": facts}, separators=(",", ":")).encode()


def everything(root: Path) -> dict[str, tuple[bytes, int]]:
    """Return bytes and time of change of each file below a folder."""
    return {str(path): (path.read_bytes(), path.stat().st_ctime_ns) for path in root.rglob("*") if path.is_file()}


@contextmanager
def reviewing(results: Results) -> Iterator[Viewer]:
    """Run `./run review` for the time of a block."""
    viewer = start("review", "--no-open", "--results", str(results.root.absolute()), folder=results.root)
    try:
        yield viewer
    finally:
        viewer.process.kill()
        viewer.process.communicate()
