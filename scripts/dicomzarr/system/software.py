"""Versions of the packages that may change bytes of the dataset."""

from __future__ import annotations

import contextlib
import os
import re
import sys

# Packages whose version may change bytes of the dataset.
SOFTWARE = ("blake3", "google-crc32c", "imagecodecs", "numcodecs", "numpy", "pillow", "pydicom", "zarr")


def software() -> dict[str, str]:
    """Return the versions of the packages that shape the data.

    The folders of packages tell them by their names (PEP 427); to import `importlib.metadata` would take each job as
    long as a small table.
    """
    found: dict[str, str] = {}
    for folder in sys.path:
        with contextlib.suppress(OSError):
            for name, version in re.findall(
                r"^(\w+)-([^-\n]+)\.dist-info$", "\n".join(os.listdir(folder)), re.MULTILINE
            ):
                found.setdefault(name.lower().replace("_", "-"), version)
    return {name: found.get(name) or _installed(name) for name in SOFTWARE}


def _installed(name: str) -> str:
    import importlib.metadata

    return importlib.metadata.version(name)


def software_versions() -> list[str]:
    """Return `software` as a list of ``name version``."""
    return [f"{name} {version}" for name, version in software().items()]
