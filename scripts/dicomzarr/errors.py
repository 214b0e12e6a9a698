"""The one error a user can mend."""

from __future__ import annotations


class UserError(Exception):
    """Something a user can mend. Its text is shown as it is, so it never holds a value or a path of the source."""


class SourceChanged(UserError):
    """Files changed or vanished between the scan and their reading."""

    def __init__(self, files: int) -> None:
        noun = "file" if files == 1 else "files"
        super().__init__(f"{files} {noun} of the source changed while the run was reading; run the same command again")
