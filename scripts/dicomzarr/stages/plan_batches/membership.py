"""Which patient, study and series a file belongs to."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

from dicomzarr.privacy.pseudonyms import Pseudonyms


@dataclasses.dataclass(frozen=True, slots=True)
class Membership:
    """The pseudonymous ids of the patient, study and series of a file, and flags for what is uncertain."""

    subject_id: str
    study_id: str
    series_id: str
    flags: tuple[str, ...]


class Ids(NamedTuple):
    """The attributes that decide the membership of a file; empty where the header has none."""

    issuer: str  # Issuer of Patient ID (0010,0021)
    patient: str  # Patient ID (0010,0020)
    study: str  # Study Instance UID (0020,000D)
    series: str  # Series Instance UID (0020,000E)
    content: str  # SHA-256 of the file, where a UID is missing


def membership(ids: Ids, pseudonyms: Pseudonyms) -> Membership | None:
    """Return the membership of a file, or None if it has neither a Series Instance UID nor a digest of its content."""
    flags = []
    if ids.patient or ids.issuer:
        subject = pseudonyms.subject_id(ids.issuer, ids.patient)
    else:
        flags.append("unknown_subject")
        subject = pseudonyms.unknown_subject_id(ids.study or ids.series or ids.content)
    if ids.series:
        series = pseudonyms.series_id(subject, ids.series)
    elif ids.content:
        flags.append("no_series_uid")
        series = pseudonyms.series_id(subject, f"content\0{ids.content}")
    else:
        return None
    return Membership(subject, pseudonyms.study_id(ids.study) if ids.study else "", series, tuple(flags))
