"""UIDs that DICOM itself assigns (PS3.6 annex A): transfer syntaxes, SOP classes and the like."""

from __future__ import annotations

import functools
import importlib.util
import types
from importlib.machinery import SourceFileLoader
from pathlib import Path

from dicomzarr.dicom.sop_classes import UID_ROOT


def is_standard_uid(text: str) -> bool:
    """Return whether a text is a UID that the standard assigns; having its root is not enough.

    Parameters
    ----------
    text : str

    Returns
    -------
    bool

    References
    ----------
    DICOM PS3.6 annex A.
    """
    return text.startswith(UID_ROOT) and text in _standard_uids()


@functools.cache
def _standard_uids() -> frozenset[str]:
    """Return the keys of pydicom's dictionary, without importing pydicom: that takes a third of a second."""
    package = importlib.util.find_spec("pydicom")
    assert package and package.submodule_search_locations
    module = types.ModuleType("_uid_dict")
    path = Path(package.submodule_search_locations[0], "_uid_dict.py")
    SourceFileLoader(module.__name__, str(path)).exec_module(module)
    return frozenset(module.UID_dictionary)
