"""Look for text in the pixels of a series: each frame where it is decoded, and what does not move in a file."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from dicomzarr.burned_in import scan
from dicomzarr.pixels.display import coloured
from dicomzarr.stages.extract_batch.duplicates import quarantine_copies
from dicomzarr.stages.extract_batch.options import Options
from dicomzarr.stages.extract_batch.series_files import Readers, Roots, SourceFile, numbers_of
from dicomzarr.vocabulary.reasons import NotExtracted

TEXT = "text_in_pixels"
STILL = -1  # number of the frame of a box in what does not move
PICTURE_SIZE = 512  # pixels of the longer side
Finding = tuple[int, int, int, int, int, str]  # number of the frame, top, left, bottom, right, by


class Looker:
    """The verdicts on the frames of a series; each frame is looked at once.

    Parameters
    ----------
    files : sequence of SourceFile
    roots : Roots
    options : Options
    """

    def __init__(self, files: Sequence[SourceFile], roots: Roots, options: Options) -> None:
        self._files, self._roots, self._options = files, roots, options
        self._found: dict[tuple[int, int], tuple[scan.Box, ...]] = {}
        self._still: dict[int, scan.Still] = {}
        self._lock = threading.Lock()

    def must_look(self, source: int) -> bool:
        """Return whether a file is looked at: with `burned_in: scan`, unless somebody decided to keep it."""
        return self._options.burned_in == "scan" and self._files[source].decision != "keep"

    def add(self, source: int, number: int, frame: NDArray[Any]) -> bool:
        """Look at a frame; return whether it has text. Threads may call this at the same time.

        Parameters
        ----------
        source, number : int
            Of the file in its series, and of the frame in the file.
        frame : ndarray
            Stored values, shape (rows, columns) or (rows, columns, samples).
        """
        if not self.must_look(source):
            return False
        if (source, number) not in self._found:
            file = self._files[source]
            shown = coloured(frame, file.palette) if file.palette and frame.ndim == 2 else frame
            found = scan.look(shown, allow_short=self._options.allow_short)
            with self._lock:
                self._found[source, number] = found
                if len(file.frames) > 1:
                    self._still.setdefault(source, scan.Still()).add(shown)
        return bool(self._found[source, number])

    def text_that_stays(self) -> int | None:
        """Return the first file without a reason that has text in what does not move; all its frames were looked at."""
        for source, file in enumerate(self._files):
            if file.own and not file.reason and self._findings_of(source):
                return source
        return None

    def look_at_rest(self) -> None:
        """Decode all files without a reason and look at them; set the reason of each that fails or has text."""
        readers = Readers(self._files, self._roots)
        for source, file in enumerate(self._files):
            if not file.own or file.reason:
                continue
            try:
                for frame in file.frames:
                    self.add(source, frame.number, readers.frame(source, frame.number).pixels)
            except NotExtracted as error:
                quarantine_copies(self._files, file.content, error.code, numbers_of(error))
                continue
            if self._findings_of(source):
                quarantine_copies(self._files, file.content, TEXT, {})
        readers.close()

    def _findings_of(self, source: int) -> list[Finding]:
        frames = [(frame.number, self._found.get((source, frame.number), ())) for frame in self._files[source].frames]
        if source in self._still:
            frames.append((STILL, self._still[source].look(allow_short=self._options.allow_short)))
        return [(number, *box) for number, boxes in frames for box in boxes]

    def findings(self) -> dict[str, tuple[Finding, ...]]:
        """Return what was found in the files that were set aside, by content."""
        sources = {file.content: source for source, file in reversed([*enumerate(self._files)]) if file.reason == TEXT}
        found = {content: tuple(self._findings_of(source)) for content, source in sources.items()}
        return {content: boxes for content, boxes in sorted(found.items()) if boxes}

    def looked(self) -> dict[str, Any]:
        """Return who looked with what thresholds, and at how many frames of files that are extracted or set aside."""
        if self._options.burned_in != "scan":
            return {}
        counted = [source for source, _ in self._found if self._files[source].reason in ("", TEXT)]
        return {
            "detector": scan.DETECTOR,
            "code": self._options.detector,
            "thresholds": dict(sorted(scan.THRESHOLDS.items())),
            "allow_short": self._options.allow_short,
            "frames": len(counted),
        }

    def draw(self, folder: Path) -> None:
        """Draw a picture of each file that is set aside, with its boxes: `<content>.jpg`."""
        aside = {file.content: source for source, file in enumerate(self._files) if file.own and file.reason == TEXT}
        readers = Readers(self._files, self._roots)
        for content, source in sorted(aside.items()):
            boxes = self._findings_of(source)
            number = max(boxes[0][0], 0) if boxes else 0
            try:
                pixels = readers.frame(source, number).pixels
            except NotExtracted:
                continue
            palette = self._files[source].palette
            shown = coloured(pixels, palette) if palette and pixels.ndim == 2 else pixels
            folder.mkdir(parents=True, exist_ok=True)
            _picture(shown, [box[1:5] for box in boxes if box[0] in (number, STILL)]).save(
                folder / f"{content}.jpg", quality=85
            )
        readers.close()


def _picture(frame: NDArray[Any], boxes: Sequence[tuple[int, int, int, int]]) -> Image.Image:
    """Return a frame in 8 bits, at most `PICTURE_SIZE` pixels a side, its boxes (top, left, bottom, right) in red."""
    values = np.nan_to_num(frame.astype(np.float64))
    low, high = (float(value) for value in (values.min(), values.max()))
    grey = ((values - low) * (255 / (high - low)) if high > low else values * 0).astype(np.uint8)
    image = Image.fromarray(grey[..., :3] if grey.ndim == 3 and grey.shape[-1] >= 3 else grey.reshape(grey.shape[:2]))
    image = image.convert("RGB")
    scale = min(1.0, PICTURE_SIZE / max(image.size))
    image = image.resize([max(1, round(side * scale)) for side in image.size])
    draw = ImageDraw.Draw(image)
    for top, left, bottom, right in boxes:
        corners = (left * scale - 2, top * scale - 2, right * scale + 1, bottom * scale + 1)
        draw.rectangle(corners, outline=(255, 0, 0))
    return image
