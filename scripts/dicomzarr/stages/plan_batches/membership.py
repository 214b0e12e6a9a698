"""Which patient, study and series a file belongs to."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping
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


class Issuers:
    """The issuer that a series states for a patient; files of that series and patient without an issuer get it.

    One patient with and without Issuer of Patient ID (0010,0021) within one Series Instance UID is one subject. Where
    a series states two issuers for one Patient ID, files without an issuer could belong to either: they get none.
    The order in which files are added makes no difference.
    """

    def __init__(self, pseudonyms: Pseudonyms) -> None:
        # By the id that a series has without an issuer: its issuer, an empty text where two are stated.
        self._stated: dict[int, str] = {}
        self._pseudonyms = pseudonyms
        self._id_without = functools.lru_cache(maxsize=1 << 12)(self._compute_id_without)

    def _compute_id_without(self, series: str, patient: str) -> int:
        """Return the id that a series has without an issuer, as a number."""
        return int(self._pseudonyms.series_id(self._pseudonyms.subject_id("", patient), series), 16)

    def add(self, ids: Ids) -> None:
        """Note what a file states; files without an issuer, a patient or a series state nothing."""
        if ids.issuer and ids.patient and ids.series:
            self._add(self._id_without(ids.series, ids.patient), ids.issuer)

    def _add(self, series: int, issuer: str) -> None:
        if self._stated.setdefault(series, issuer) != issuer:
            self._stated[series] = ""

    @property
    def stated(self) -> Mapping[int, str]:
        """What was noted, for `merge`."""
        return self._stated

    def merge(self, stated: Mapping[int, str]) -> None:
        """Add what another process noted."""
        for series, issuer in stated.items():
            self._add(series, issuer)

    def completed(self, ids: Ids) -> Ids:
        """Return the ids of a file, with the issuer of its series where the file states none."""
        if not self._stated or ids.issuer or not (ids.patient and ids.series):
            return ids
        return ids._replace(issuer=self._stated.get(self._id_without(ids.series, ids.patient), ""))

    def series_without(self) -> Iterator[int]:
        """Yield the ids, as numbers, that series with one issuer have where a file states none."""
        return (series for series, issuer in self._stated.items() if issuer)
