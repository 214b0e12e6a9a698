"""Which patient, study and series a file belongs to."""

from __future__ import annotations

import dataclasses
import functools
from typing import NamedTuple, TypeVar

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


class Stated(NamedTuple):
    """The issuers that files state for one Patient ID, an empty text where they state two.

    Attributes
    ----------
    by_series : dict of int to str
        By the id, as a number, that a series of this patient has without an issuer.
    by_study : dict of (int, int) to str
        By the ids, as numbers, that this patient has without an issuer, and that the study has.
    """

    by_series: dict[int, str]
    by_study: dict[tuple[int, int], str]


class Issuers:
    """The issuer that a series or a study states for a patient; files of it without an issuer get it.

    One patient with and without Issuer of Patient ID (0010,0021) within one Series Instance UID, or else within one
    Study Instance UID, is one subject. Where two issuers are stated for one Patient ID, files without an issuer could
    belong to either: they get none. The order in which files are added makes no difference.
    """

    def __init__(self, pseudonyms: Pseudonyms) -> None:
        self._stated = Stated({}, {})
        self._pseudonyms = pseudonyms
        self._subject_without = functools.lru_cache(maxsize=1 << 12)(self._compute_subject_without)
        self._series_without = functools.lru_cache(maxsize=1 << 12)(self._compute_series_without)
        self._study = functools.lru_cache(maxsize=1 << 12)(self._compute_study)

    def _compute_subject_without(self, patient: str) -> int:
        return int(self._pseudonyms.subject_id("", patient), 16)

    def _compute_series_without(self, series: str, patient: str) -> int:
        return int(self._pseudonyms.series_id(self._pseudonyms.subject_id("", patient), series), 16)

    def _compute_study(self, study: str) -> int:
        return int(self._pseudonyms.study_id(study), 16)

    def add(self, ids: Ids) -> None:
        """Note what a file states; files without an issuer or a patient state nothing."""
        if not (ids.issuer and ids.patient):
            return
        if ids.series:
            _note(self._stated.by_series, self._series_without(ids.series, ids.patient), ids.issuer)
        if ids.study:
            _note(self._stated.by_study, (self._subject_without(ids.patient), self._study(ids.study)), ids.issuer)

    @property
    def stated(self) -> Stated:
        """What was noted, for `merge`."""
        return self._stated

    def merge(self, stated: Stated) -> None:
        """Add what another process noted."""
        for series, issuer in stated.by_series.items():
            _note(self._stated.by_series, series, issuer)
        for study, issuer in stated.by_study.items():
            _note(self._stated.by_study, study, issuer)

    def completed(self, ids: Ids) -> Ids:
        """Return the ids of a file, with the issuer of its series, or else of its study, where the file states none."""
        if ids.issuer or not ids.patient:
            return ids
        by_series, by_study = self._stated
        if ids.series and by_series:
            issuer = by_series.get(self._series_without(ids.series, ids.patient))
            if issuer is not None:
                return ids._replace(issuer=issuer)
        if ids.study and by_study:
            issuer = by_study.get((self._subject_without(ids.patient), self._study(ids.study)), "")
            return ids._replace(issuer=issuer)
        return ids

    def incomplete(self) -> tuple[set[int], set[int]]:
        """Return the ids, as numbers, of series and of subjects without an issuer of which some file may get one."""
        series = {series for series, issuer in self._stated.by_series.items() if issuer}
        return series, {subject for (subject, _), issuer in self._stated.by_study.items() if issuer}


Key = TypeVar("Key")


def _note(stated: dict[Key, str], key: Key, issuer: str) -> None:
    if stated.setdefault(key, issuer) != issuer:
        stated[key] = ""
