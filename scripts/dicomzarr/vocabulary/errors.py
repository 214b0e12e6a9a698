"""The one error a user can mend."""

from __future__ import annotations


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
