"""UIDs that DICOM itself assigns (PS3.6 annex A): transfer syntaxes, SOP classes and the like."""

from __future__ import annotations

import functools

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
    from pydicom._uid_dict import UID_dictionary

    return frozenset(UID_dictionary)
