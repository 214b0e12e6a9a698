"""What archives may cost: the config key `archives`, and the folder of their private cache."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FOLDER = "archives"  # in private/cache/
FREE = 64 << 20  # bytes: smaller contents have no bound of their ratio
IN_MEMORY = 64 << 20  # bytes of a member that are held in memory; a larger one is written to the private cache

FULL = (
    "the disk of the results is full, so that an archive cannot be decompressed into results/private/cache/archives; "
    "free some space, lower archives.cache_megabytes or unpack large tar archives, then run the same command again"
)


@dataclasses.dataclass(frozen=True, slots=True)
class Bounds:
    """The bounds of archives, and the folder for what does not fit in memory.

    Attributes
    ----------
    folder : Path
        Private; removed when the dataset is sealed.
    ratio : int
        Bytes that a member, or a compressed tar as a whole, may have for each of its compressed bytes.
    megabytes : int
        MB of the largest member.
    cache_megabytes : int
        MB of decompressed tars in the folder.
    """

    folder: Path
    ratio: int = 500
    megabytes: int = 8192
    cache_megabytes: int = 102400

    @property
    def member(self) -> int:
        """Bytes of the largest member."""
        return self.megabytes * 1_000_000

    @property
    def cache(self) -> int:
        """Bytes of decompressed tars in the folder."""
        return self.cache_megabytes * 1_000_000

    def is_bomb(self, size: int, compressed: int) -> bool:
        """Return whether `size` bytes are too many to come from `compressed` bytes."""
        return size > FREE and size > self.ratio * max(compressed, 1)


_in_force: list[Bounds] = []


def use(bounds: Bounds) -> None:
    """Set the bounds for this process and the processes that it starts from now on."""
    _in_force[:] = [bounds]


def use_configured(cache: Path, archives: Mapping[str, Any]) -> None:
    """Set the bounds of the config key `archives`; `cache` is the private cache of the results."""
    use(Bounds(cache / FOLDER, **{name: archives[name] for name in ("ratio", "megabytes", "cache_megabytes")}))


def current() -> Bounds:
    """Return the bounds in force."""
    return _in_force[0]
