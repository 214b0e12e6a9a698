"""Versions of the packages that may change bytes of the dataset."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import sys

# Packages whose version may change bytes of the dataset.
SOFTWARE = ("blake3", "google-crc32c", "imagecodecs", "numcodecs", "numpy", "pillow", "pydicom", "zarr")


def software() -> dict[str, str]:
    """Return the versions of the packages in `SOFTWARE`.

    They are read from the names of `.dist-info` folders (PEP 427): importing `importlib.metadata` takes a job as long
    as writing a small table.
    """
    versions: dict[str, str] = {}
    for folder in sys.path:
        versions = {**_versions_in(folder), **versions}
    return {name: versions.get(name) or _installed(name) for name in SOFTWARE}


@functools.cache
def _versions_in(folder: str) -> dict[str, str]:
    """Return the versions of the packages in a folder; the first listing counts, also for the forks of a process."""
    versions: dict[str, str] = {}
    with contextlib.suppress(OSError):
        for name, version in re.findall(r"^(\w+)-([^-\n]+)\.dist-info$", "\n".join(os.listdir(folder)), re.MULTILINE):
            versions.setdefault(name.lower().replace("_", "-"), version)
    return versions


def _installed(name: str) -> str:
    import importlib.metadata

    return importlib.metadata.version(name)


def software_versions() -> list[str]:
    """Return `software` as a list of ``name version``."""
    return [f"{name} {version}" for name, version in software().items()]
