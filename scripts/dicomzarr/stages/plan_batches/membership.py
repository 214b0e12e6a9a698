"""Which patient, study and series a header belongs to."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

from dicomzarr.privacy.pseudonyms import Pseudonyms


@dataclasses.dataclass(frozen=True, slots=True)
class Belonging:
    """Which patient, study and series a header belongs to, as ids, and what is uncertain about it."""

    subject_id: str
    study_id: str
    series_id: str
    flags: tuple[str, ...]


class Ids(NamedTuple):
    """The attributes of a header that say where it belongs; empty where there is none."""

    issuer: str
    patient: str
    study: str
    series: str
    content: str


def belonging(ids: Ids, pseudonyms: Pseudonyms) -> Belonging | None:
    """Return where a header belongs, or None where it names no series and its content is not known."""
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
    return Belonging(subject, pseudonyms.study_id(ids.study) if ids.study else "", series, tuple(flags))
