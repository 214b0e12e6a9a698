"""Errors that the user can fix, and damaged files."""

from __future__ import annotations

from pathlib import Path


class UserError(Exception):
    """An error that the user can fix. Its text is shown, so it never contains a value or a path of the source."""


class SourceChanged(UserError):
    """Source files changed or were deleted after the scan, before they had been read."""

    def __init__(self, count: int, what: str = "files") -> None:
        noun = "file" if (count, what) == (1, "files") else what
        super().__init__(
            f"changed_while_reading: {count} {noun} of the source changed or vanished while the run was reading; "
            "run the same command again"
        )


class DamagedTable(UserError):
    """A table of the dataset cannot be read as such; `problem` says what was found, if that is known."""

    def __init__(self, table: Path, problem: str = "") -> None:
        found = f": {problem}" if problem else ""
        super().__init__(f"{str(table)!r} is damaged{found}. ./run verify lists what else is; the next run repairs it")


class Damaged(ValueError):
    """A file below `private/` differs from what was written, so its content cannot be used."""

    def __init__(self, path: Path) -> None:
        super().__init__("a file in private/ is damaged")
        self.path = path


class ConfigProblem(UserError):
    """A configuration key has a wrong value; the text names the key, the value and what is allowed."""
