"""Cache what planning reads of the header index, by ranges of its lines.

A range is known by its bytes: a line that is new, changed or gone costs the lines of its range alone. A damaged file of
the cache is as if it were missing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from dicomzarr.stages.plan_batches.masks import Line
from dicomzarr.stages.plan_batches.membership import Stated
from dicomzarr.system import files, json_files

COLUMNS = 12  # of numbers, see `survey.Survey`
FOLDER = "survey"  # in the folder of caches
_DIGEST = 32  # bytes of BLAKE3, before the content
_LENGTH = 8  # bytes of the length of the words, behind it


class Part(NamedTuple):
    """What was found in a range of the index; offsets count from its beginning."""

    numbers: NDArray[np.uint64]  # shape (files, COLUMNS)
    flags: NDArray[np.uint8]  # shape (files,): number of the flags of each in `combinations`
    combinations: list[tuple[str, ...]]
    mask_files: list[Line]
    issuers: Stated


class PartCache:
    """The cached parts of a survey.

    Parameters
    ----------
    caches : Path
        The folder of caches.
    basis : str
        What parts depend on beside the bytes of the index: the code and the key of the pseudonyms.
    """

    def __init__(self, caches: Path, basis: str) -> None:
        self._folder, self._basis = caches / FOLDER, basis.encode()

    def key_of(self, data: bytes) -> str:
        """Return the name of the part of these lines."""
        return blake3(blake3(self._basis).digest() + data).hexdigest()

    def load(self, key: str) -> Part | None:
        """Return a part; None if it is not cached, or damaged."""
        try:
            data = (self._folder / key).read_bytes()
        except OSError:
            return None
        content = memoryview(data)[_DIGEST:]
        if _digest(key, content) != data[:_DIGEST]:
            return None
        end = _LENGTH + int.from_bytes(content[:_LENGTH], "little")
        words: dict[str, Any] = json_files.loads(bytes(content[_LENGTH:end]))
        count = words["files"]
        numbers = np.frombuffer(content, np.uint64, count * COLUMNS, end).reshape(-1, COLUMNS)
        return Part(
            numbers,
            np.frombuffer(content, np.uint8, count, end + numbers.nbytes),
            [tuple(flags) for flags in words["combinations"]],
            [Line(*line) for line in words["mask_files"]],
            Stated(
                {int(series): issuer for series, issuer in words["issuers"]},
                {(int(subject), int(study)): issuer for subject, study, issuer in words["issuers_of_studies"]},
            ),
        )

    def save(self, key: str, part: Part) -> None:
        """Cache a part; a full disk is no error."""
        words = json_files.canonical_json(
            {
                "combinations": part.combinations,
                "files": len(part.flags),
                "issuers": [[str(series), issuer] for series, issuer in part.issuers.by_series.items()],
                "issuers_of_studies": [[*map(str, ids), issuer] for ids, issuer in part.issuers.by_study.items()],
                "mask_files": part.mask_files,
            }
        )
        words += b" " * (-(_LENGTH + len(words)) % 8)  # so that the numbers are aligned
        length = len(words).to_bytes(_LENGTH, "little")
        content = b"".join((length, words, part.numbers.tobytes(), part.flags.tobytes()))
        with contextlib.suppress(OSError):
            files.write_atomically(self._folder / key, _digest(key, content) + content, private=True)

    def keep(self, keys: Collection[str]) -> None:
        """Remove all parts but these."""
        with contextlib.suppress(OSError):
            for path in self._folder.iterdir():
                if path.name not in keys:
                    files.remove_tree(path)


def _digest(key: str, content: bytes | memoryview) -> bytes:
    """Return a digest of a part and its name, so that no part passes for another one."""
    return blake3(key.encode() + content).digest()
