"""Opaque ids: keyed hashes that only the holder of the key can recompute.

HMAC-SHA256 over a domain prefix, a NUL and the value, so that ids of two projects with different keys cannot be linked
and ids of two kinds cannot be confused.
"""

from __future__ import annotations

import contextlib
import hmac
import os
import secrets
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from dicomzarr.system import files
from dicomzarr.vocabulary.errors import UserError

KEY_VARIABLE = "DICOMZARR_KEY"
KEY_LENGTH = 32  # characters, at least
LONG, SHORT = 16, 8  # hex digits of an id; of a volume's


class KeyProblem(UserError):
    """The pseudonym key is missing, too short, or not the key of the dataset."""


def text_of_patient(value: str) -> str:
    """Return a Patient ID or its issuer, whose bytes the index holds as Latin-1, as the text that was meant.

    Bytes that are UTF-8 are taken for it, in composed form: whatever Specific Character Set (0008,0005) two files have,
    the same number is one patient.
    """
    # ASSUME no other character set is used for identifiers of patients.
    if value.isascii():
        return value
    with contextlib.suppress(UnicodeError):
        value = value.encode("latin-1").decode("utf-8")
    return unicodedata.normalize("NFC", value)


@dataclass(frozen=True, slots=True)
class Pseudonyms:
    """Pseudonymous ids, computed with one key."""

    key: bytes

    def digest(self, domain: str, value: bytes | str) -> str:
        """Return the whole HMAC, 64 hex digits."""
        raw = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
        return hmac.digest(self.key, domain.encode() + b"\0" + raw, "sha256").hex()

    def subject_id(self, issuer: str, patient: str) -> str:
        """Return the id of a patient from IssuerOfPatientID (0010,0021) and PatientID (0010,0020)."""
        return self.digest("subject", f"{issuer}\0{patient}")[:LONG]

    def unknown_subject_id(self, study_uid: str) -> str:
        """Return the id of a patient without PatientID: one for each study."""
        return self.digest("subject", f"study\0{study_uid}")[:LONG]

    def study_id(self, study_uid: str) -> str:
        """Return the id of a study from StudyInstanceUID (0020,000D)."""
        return self.digest("study", study_uid)[:LONG]

    def series_id(self, subject: str, series_uid: str) -> str:
        """Return the id of a series from the subject's id and SeriesInstanceUID (0020,000E)."""
        return self.digest("series", f"{subject}\0{series_uid}")[:LONG]

    def volume_id(self, series: str, discriminators: tuple[str, ...]) -> str:
        """Return the id of a volume from its series and the values that distinguish it within the series."""
        return self.digest("volume", "\0".join((series, *discriminators)))[:SHORT]

    def group_id(self, series: str, shared: tuple[str, ...]) -> str:
        """Return the id of the volumes of a series that share these values. Eight digits could look like a date."""
        return self.digest("volume", "\0".join((series, "group", *shared)))[:LONG]

    def source_digest(self, content: str) -> str:
        """Return the keyed digest of a source file from the BLAKE3 of its content, safe to share."""
        return self.digest("source", content)

    @property
    def key_check(self) -> str:
        """An HMAC of a constant: equal for two runs only if they used the same key."""
        return self.digest("key_check", "dicomzarr")


def key_from_environment() -> bytes | None:
    """Return the key of the environment variable DICOMZARR_KEY, or None where it is not set.

    Raises
    ------
    KeyProblem
        If it is set and shorter than 32 characters, or empty.
    """
    text = os.environ.get(KEY_VARIABLE)
    if text is None:
        return None
    if not text:  # not taken for "not set": a new key would be made, and with it other ids
        raise KeyProblem(
            f"environment variable {KEY_VARIABLE}: it is set and empty, as where a secret is missing in CI; give it "
            f"a key, {KEY_LENGTH} characters or more, or remove it: unset {KEY_VARIABLE}"
        )
    if len(text) < KEY_LENGTH:
        raise KeyProblem(
            f"environment variable {KEY_VARIABLE}: found {len(text)} characters, needed {KEY_LENGTH} or more; "
            "make a key with: python3 -c 'import secrets; print(secrets.token_hex(32))'"
        )
    return text.encode("utf-8", "surrogateescape")


def load(private: Path) -> Pseudonyms:
    """Return the pseudonyms of this results folder: by the key of the environment, else of `private/key`."""
    key = key_from_environment()
    if key is None:
        try:
            key = (private / "key").read_bytes().strip()
        except FileNotFoundError:
            raise KeyProblem(f"no pseudonym key: set {KEY_VARIABLE}, or put the key file back to private/key") from None
        if len(key) < KEY_LENGTH:
            raise KeyProblem(f"private/key: found {len(key)} characters, needed {KEY_LENGTH} or more")
    return Pseudonyms(key)


def check(private: Path, known_checks: set[str], *, begun: bool = False) -> bytes | None:
    """Return the key of this results folder, or None on the first run, when there is none yet.

    Parameters
    ----------
    private : Path
        The private folder.
    known_checks : set of str
        The `key_check` values in the existing records and dataset.
    begun : bool
        Records exist here, so that there was a key, even if no file holds its `key_check` any more.

    Raises
    ------
    KeyProblem
        If a dataset exists and its key is lost or different: ids are never replaced silently.
    """
    if key_from_environment() is None and not files.exists(private / "key"):
        if known_checks or begun:
            raise KeyProblem(
                f"the pseudonym key of this dataset is missing: put results/private/key back or set {KEY_VARIABLE}; "
                "to start over with new ids, use another results folder"
            )
        return None
    pseudonyms = load(private)
    if known_checks and pseudonyms.key_check not in known_checks:  # if only some differ, those are damaged
        raise KeyProblem("the pseudonym key is not the key of this dataset: use that key, or another results folder")
    return pseudonyms.key


def establish(private: Path, known_checks: set[str], *, begun: bool = False) -> Pseudonyms:
    """Return the pseudonyms; on the first run create `private/key`, mode 0600. Parameters and errors as for `check`."""
    if check(private, known_checks, begun=begun) is None:
        files.write_atomically(private / "key", secrets.token_hex(32).encode() + b"\n", private=True)
    return load(private)
