"""Where things are below the results folder, and how paths of the source are written down."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote_to_bytes

# %, control characters (C0, DEL, C1), line separators, and a leading character that a spreadsheet takes for a formula.
_UNSAFE = re.compile("[%\x00-\x1f\x7f\x80-\x9f\u2028\u2029\ud800-\udfff]|^[=+\\-@]")


def encode_path(raw: bytes) -> str:
    """Return a path as text that round-trips and is safe in a spreadsheet.

    Percent-encoded are `%`, control characters, bytes that are not UTF-8 and a leading ``= + - @``; everything else
    stays readable. `decode_path` gives the bytes back.
    """
    text = raw.decode("utf-8", "surrogateescape")

    def escape(match: re.Match[str]) -> str:
        return "".join(f"%{byte:02X}" for byte in match.group().encode("utf-8", "surrogateescape"))

    return _UNSAFE.sub(escape, text)


def decode_path(text: str) -> bytes:
    """Return the bytes of a path that `encode_path` wrote."""
    return unquote_to_bytes(text) if "%" in text else text.encode()


@dataclass(frozen=True, slots=True)
class Results:
    """The folders and files of one results folder; see docs/outputs.md."""

    root: Path

    @property
    def private(self) -> Path:
        """What may identify a patient: 0700, stays on site."""
        return self.root / "private"

    @property
    def dataset(self) -> Path:
        """What may be shared."""
        return self.root / "dataset"

    @property
    def exports(self) -> Path:
        """Copies of the arrays in other formats, where they were asked for."""
        return self.root / "exports"

    @property
    def images(self) -> Path:
        """The Zarr group of all images."""
        return self.dataset / "images.zarr"

    @property
    def records(self) -> Path:
        """The private records that drive the work."""
        return self.private / "records"

    @property
    def inventory(self) -> Path:
        """What the scan found: path, kind and stat of each directory entry."""
        return self.private / "inventory.jsonl"

    @property
    def plans(self) -> Path:
        """One plan a batch and their table of contents."""
        return self.private / "plans"

    @property
    def temporary(self) -> Path:
        """Where arrays are written before they are renamed into the dataset."""
        return self.private / "temporary"

    @property
    def sealed(self) -> Path:
        """The last file of a complete dataset."""
        return self.dataset / "dataset.json"

    def series_record(self, rule: str, series_id: str) -> Path:
        """Return where a rule that works on series keeps what it knows of one: a folder by a fixed prefix of its id."""
        return self.records / rule / series_id[:3] / f"{series_id}.json"

    def plan(self, batch: str) -> Path:
        """Return the plan of a batch."""
        return self.plans / f"{batch}.json"
