"""Look for text in the pixels of a series: each frame where it is decoded, and what does not move in a file.

The detector is called in a child process with limits: a file at which it fails is set aside by itself.
"""

from __future__ import annotations

import contextlib
import io
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dicomzarr.burned_in import scan
from dicomzarr.pixels.display import coloured
from dicomzarr.stages.extract_batch.duplicates import quarantine_copies
from dicomzarr.stages.extract_batch.options import Options
from dicomzarr.stages.extract_batch.reader_pool import ReaderPool
from dicomzarr.stages.extract_batch.series_files import Readers, Roots, SourceFile, numbers_of
from dicomzarr.stages.extract_batch.text_picture import QUALITY, beside, picture
from dicomzarr.system import files, sandbox, shortage
from dicomzarr.system.thread_pool import MIN_PARALLEL_BYTES, ThreadPool
from dicomzarr.vocabulary.reasons import REVIEWED, NotExtracted

TEXT, FAILED = REVIEWED
STILL = -1  # number of the frame of a box in what does not move
InViews = list[tuple[scan.Box, ...]]  # the boxes in each view of a frame, see `_views`
Finding = tuple[int, int, int, int, int, str]  # number of the frame, top, left, bottom, right, by


# Functions of this module, since the child is asked by the name of a function.
def _look(frame: NDArray[Any], allow_short: int) -> tuple[scan.Box, ...]:
    return scan.look(frame, allow_short=allow_short)


def _look_at_still(still: scan.Still, allow_short: int) -> tuple[scan.Box, ...]:
    return still.look(allow_short=allow_short)


def _control() -> bool:
    return scan.control()


def control() -> bool:
    """Return whether the detector works: it finds made-up text, and none where there is none, within the limits."""
    try:
        return sandbox.call(_control, fault=FAILED, alone=True) is True
    except (NotExtracted, MemoryError):
        shortage.refuse()
        return False


class Looker:
    """The verdicts on the frames of a series; each frame is looked at once.

    Parameters
    ----------
    series : sequence of SourceFile
        Its files.
    roots : Roots
    options : Options
    """

    def __init__(self, series: Sequence[SourceFile], roots: Roots, options: Options) -> None:
        self._files, self._roots, self._options = series, roots, options
        self._found: dict[tuple[int, int], InViews] = {}
        self._still: dict[int, list[scan.Still]] = {}  # of each view
        self._in_still: dict[tuple[int, int], InViews] = {}  # by file and its frames until then
        self._failed: set[int] = set()
        self._lock = threading.Lock()

    def must_look(self, source: int) -> bool:
        """Return whether a file is looked at: with `burned_in: scan`, unless somebody decided to keep it."""
        return self._options.burned_in == "scan" and self._files[source].decision != "keep"

    def add(self, source: int, number: int, frame: NDArray[Any]) -> str:
        """Look at a frame; return why its file is set aside, or an empty text. Threads may call this at the same time.

        Parameters
        ----------
        source, number : int
            Of the file in its series, and of the frame in the file.
        frame : ndarray
            Stored values, shape (rows, columns) or (rows, columns, samples).

        Returns
        -------
        str
            `text_in_pixels`, or `text_search_failed` where the detector failed at this frame.
        """
        if not self.must_look(source):
            return ""
        if (source, number) not in self._found:
            file = self._files[source]
            views = _views(file, frame)
            found = [self._call(source, _look, view) for view in views]
            with self._lock:
                self._found[source, number] = found
                if len(file.frames) > 1:
                    stills = self._still.setdefault(source, [scan.Still() for _ in views])
                    for still, view in zip(stills, views, strict=True):
                        still.add(view)
        if any(self._found[source, number]):
            return TEXT
        return FAILED if source in self._failed else ""

    def _call(self, source: int, look: Any, shown: Any) -> tuple[scan.Box, ...]:
        """Return what the detector finds, in a child; note the file at which it fails."""
        try:
            found: tuple[scan.Box, ...] = sandbox.call(look, shown, self._options.allow_short, fault=FAILED, alone=True)
            return found
        except (NotExtracted, MemoryError):
            shortage.refuse()
            self._failed.add(source)
            return ()

    def verdict(self, source: int) -> str:
        """Return why a file is set aside, or an empty text; all its frames were looked at."""
        if self._findings_of(source):
            return TEXT
        return FAILED if source in self._failed else ""

    def set_aside(self) -> tuple[int, str] | None:
        """Return the first file without a reason that is to be set aside, and why; all files were looked at."""
        for source, file in enumerate(self._files):
            if file.own and not file.reason and (reason := self.verdict(source)):
                return source, reason
        return None

    def look_at_rest(self, pool: ThreadPool) -> None:
        """Decode all files without a reason and look at them; set the reason of each that fails or has text."""
        sources = [source for source, file in enumerate(self._files) if file.own and not file.reason]
        frames = [(source, frame.number) for source in sources for frame in self._files[source].frames]
        errors: dict[int, NotExtracted] = {}
        with contextlib.closing(ReaderPool(self._files, self._roots)) as readers:

            def look(frame: tuple[int, int]) -> NotExtracted | None:
                if frame in self._found:
                    return None
                try:
                    self.add(*frame, readers.use(lambda readers: readers.frame(*frame).pixels))
                except NotExtracted as error:
                    return error
                return None

            # A frame takes longer to look at than to hand over, however small it is.
            for (source, _), error in zip(frames, pool.map(look, frames, MIN_PARALLEL_BYTES), strict=True):
                if error:
                    errors.setdefault(source, error)
        for source in sources:
            content = self._files[source].content
            if error := errors.get(source):
                quarantine_copies(self._files, content, error.code, numbers_of(error))
            elif reason := self.verdict(source):
                quarantine_copies(self._files, content, reason, {})

    def _boxes_of(self, source: int) -> list[tuple[int, InViews]]:
        """Return the boxes in each view of the frames of a file, and of what does not move in it."""
        boxes = [(frame.number, self._found.get((source, frame.number), [])) for frame in self._files[source].frames]
        if stills := self._still.get(source):
            key = (source, stills[0].frames)
            if key not in self._in_still:
                self._in_still[key] = [self._call(source, _look_at_still, still) for still in stills]
            boxes.append((STILL, self._in_still[key]))
        return boxes

    def _findings_of(self, source: int) -> list[Finding]:
        return [
            (number, int(box.top), int(box.left), int(box.bottom), int(box.right), box.by)
            for number, views in self._boxes_of(source)
            for box in sorted({box for boxes in views for box in boxes})
        ]

    def findings(self) -> dict[str, tuple[Finding, ...]]:
        """Return what was found in the files that were set aside, by content."""
        sources = {file.content: source for source, file in reversed([*enumerate(self._files)]) if file.reason == TEXT}
        found = {content: tuple(self._findings_of(source)) for content, source in sources.items()}
        return {content: boxes for content, boxes in sorted(found.items()) if boxes}

    def looked(self) -> dict[str, Any]:
        """Return who looked with what thresholds, and at how many frames of files that are extracted or have text."""
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
        """Draw a picture of each file that is set aside, with its boxes: `<content>.jpg`; without one, no folder.

        Of a palette image there are two beside each other: the colours, and the stored indices.
        """
        # In reverse: of equal files the first, which is the one that was looked at.
        numbered = reversed([*enumerate(self._files)])
        aside = {file.content: source for source, file in numbered if file.own and file.reason in REVIEWED}
        if aside:
            files.make_private(folder)
        with contextlib.closing(Readers(self._files, self._roots)) as readers:
            for content, source in sorted(aside.items()):
                found = self._boxes_of(source)
                number = max(next((number for number, views in found if any(views)), 0), 0)
                shown = [each for frame, each in found if frame in (number, STILL) and each]
                try:
                    views = _views(self._files[source], readers.frame(source, number).pixels)
                    drawn = [
                        picture(view, [box[:4] for each in shown for box in each[place]])
                        for place, view in enumerate(views)
                    ]
                except (NotExtracted, MemoryError):
                    shortage.refuse()
                    continue  # the file is listed without a picture
                encoded = io.BytesIO()
                beside(drawn).save(encoded, "JPEG", quality=QUALITY)
                files.write_atomically(folder / f"{content}.jpg", encoded.getvalue(), private=True)


def _views(file: SourceFile, frame: NDArray[Any]) -> list[NDArray[Any]]:
    """Return what is looked at of a frame: what is stored, and of a palette image first what people see.

    A palette may give an index the colour of its surroundings, but the array holds the index.
    """
    if file.palette and frame.ndim == 2:
        return [np.asarray(coloured(frame, file.palette)), frame]
    return [frame]
