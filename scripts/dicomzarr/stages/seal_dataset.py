"""Seal the dataset: its digests and checksums, from the recorded digests of files, without reading them again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dicomzarr.privacy.pseudonyms import Pseudonyms
from dicomzarr.records.digests import CHECKSUMS, checksums_of, counts_as_data, digest_of, recorded_files
from dicomzarr.records.rule_record import RuleRecord
from dicomzarr.system import files, software
from dicomzarr.system.results_folder import Results

SCHEMA_VERSION = 1


def seal(
    results: Results, consolidated: Path, config: Mapping[str, object], pseudonyms: Pseudonyms
) -> tuple[dict[str, object], bytes]:
    """Return the content of `dataset.json`, and that of `checksums`.

    Parameters
    ----------
    results : Results
    consolidated : Path
        The record of consolidation, which holds the counts.
    config : mapping
        The keys of the configuration that may be published.
    pseudonyms : Pseudonyms
        Gives `key_check`, which shows whether two datasets have the same key.

    Returns
    -------
    sealed : dict
        See dataset.json in docs/outputs.md.
    checksums : bytes
        Size and digest of every file but these two.
    """
    claims = recorded_files(results)
    checksums = checksums_of(claims)
    file_digests = {path: claim.digest for path, claim in claims.items()}
    file_digests[CHECKSUMS] = files.sha256_of_bytes(checksums)
    sealed = {
        "schema_version": SCHEMA_VERSION,
        "digest": digest_of((path, digest) for path, digest in file_digests.items() if counts_as_data(path)),
        "seal": digest_of(file_digests.items()),
        "key_check": pseudonyms.key_check,
        "counts": RuleRecord.load(consolidated).counts,
        "config": dict(config),
        "software": software.software(),
    }
    return sealed, checksums
