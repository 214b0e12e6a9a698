"""Which objects were sent, and the tags that they got: `private/published.jsonl`.

With it, a file need not be read again to know that an object has its content. Without it, files are read or sent again.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from dicomzarr.records.record_file import FileClaim
from dicomzarr.system import files

_FLUSHED = 64  # lines that are written at once


class SentObjects:
    """The objects that were sent to one target.

    Parameters
    ----------
    path : Path
        The file, which is private: it holds names of targets.
    target : str
        Name of the target.
    """

    def __init__(self, path: Path, target: str) -> None:
        self._path, self._target = path, target
        self._rows: dict[tuple[str, str], tuple[str, str, bool]] = {}  # by version and path: digest, tag, is it MD5
        self._others: list[str] = []  # lines of other targets
        self._new: list[str] = []
        with suppress(OSError, UnicodeDecodeError):
            for line in path.read_text("utf-8").splitlines():
                with suppress(ValueError, TypeError):  # an unfinished line of a killed process
                    of_target, version, name, digest, etag, is_md5 = json.loads(line)
                    if of_target == target:
                        self._rows[version, name] = (digest, etag, bool(is_md5))
                    else:
                        self._others.append(line)

    def etag_of(self, version: str, path: str, claim: FileClaim) -> str:
        """Return the tag that an object got when it was sent with this content; empty if that is not known."""
        digest, etag, _ = self._rows.get((version, path), ("", "", False))
        return etag if digest == claim.digest else ""

    def add(self, version: str, path: str, claim: FileClaim, etag: str, *, is_md5: bool = False) -> None:
        """Note an object that was sent.

        Parameters
        ----------
        version : str
            Name of its version, the first digits of the seal.
        path : str
            Below the version.
        claim : FileClaim
            Size and digest of the file that was sent.
        etag : str
            The tag that the store gave it.
        is_md5 : bool
            Whether that is known to be the MD5 of what was sent.
        """
        self._rows[version, path] = (claim.digest, etag, is_md5)
        self._new.append(self._line(version, path))
        if len(self._new) >= _FLUSHED:
            self.flush()

    def is_md5(self, version: str, path: str) -> bool:
        """Return whether the tag of an object is known to be the MD5 of what was sent."""
        return self._rows.get((version, path), ("", "", False))[2]

    def proven(self, version: str) -> int:
        """Return the number of objects of a version whose tag is the MD5 of what was sent."""
        return sum(is_md5 for (of_version, _), (_, _, is_md5) in self._rows.items() if of_version == version)

    def _line(self, version: str, path: str) -> str:
        return json.dumps([self._target, version, path, *self._rows[version, path]])

    def flush(self) -> None:
        """Write the new lines."""
        if self._new:
            files.append_private(self._path, "".join(f"{line}\n" for line in self._new).encode())
            self._new = []

    def keep(self, versions: Collection[str]) -> None:
        """Replace the file by one of this target with the lines of these versions alone."""
        lines = [self._line(*key) for key in sorted(self._rows) if key[0] in versions]
        text = "".join(f"{line}\n" for line in [*self._others, *lines])
        files.write_atomically(self._path, text.encode(), private=True)
        self._new = []
