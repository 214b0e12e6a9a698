"""The one error a user can mend."""

from __future__ import annotations

from pathlib import Path


class UserError(Exception):
    """Something a user can mend. Its text is shown as it is, so it never holds a value or a path of the source."""


class SourceChanged(UserError):
    """Files changed or vanished between the scan and the end of their reading."""

    def __init__(self, count: int, what: str = "files") -> None:
        noun = "file" if (count, what) == (1, "files") else what
        super().__init__(
            f"changed_while_reading: {count} {noun} of the source changed or vanished while the run was reading; "
            "run the same command again"
        )


class Damaged(ValueError):
    """A file of ours is no longer as it was written; nothing in it is of use."""

    def __init__(self, path: Path) -> None:
        super().__init__("a file in private/ is damaged")
        self.path = path


class ConfigProblem(UserError):
    """A key of the configuration is wrong; the text names it, what was found and what is allowed."""
