"""The web page of neuroglancer, which the package `neuroglancer` carries: found without importing the package."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from dicomzarr.vocabulary.errors import UserError


def client_folder() -> Path:
    """Return the folder with the files of the client.

    Raises
    ------
    UserError
        If the package is not installed, or has no client.
    """
    spec = find_spec("neuroglancer")
    for place in (spec.submodule_search_locations or []) if spec else []:
        folder = Path(place) / "static" / "client"
        if (folder / "index.html").is_file():
            return folder
    raise UserError(
        "the package neuroglancer, which has the viewer, is not in this environment: start the viewer as ./run view, "
        "which makes the environment from requirements.lock"
    )
