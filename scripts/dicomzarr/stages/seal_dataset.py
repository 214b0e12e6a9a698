"""Seal the dataset: compute its digests from the recorded digests of files, without reading them again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dicomzarr.privacy.pseudonyms import Pseudonyms
from dicomzarr.records.digests import counts_as_data, digest_of, recorded_files
from dicomzarr.records.rule_record import RuleRecord
from dicomzarr.system import software
from dicomzarr.system.results_folder import Results

SCHEMA_VERSION = 1


def seal(
    results: Results, consolidated: Path, config: Mapping[str, object], pseudonyms: Pseudonyms
) -> dict[str, object]:
    """Return the content of `dataset.json`.

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
    dict
        See dataset.json in docs/outputs.md.
    """
    file_digests = recorded_files(results)
    return {
        "schema_version": SCHEMA_VERSION,
        "digest": digest_of((path, digest) for path, digest in file_digests.items() if counts_as_data(path)),
        "seal": digest_of(file_digests.items()),
        "key_check": pseudonyms.key_check,
        "counts": RuleRecord.load(consolidated).counts,
        "config": dict(config),
        "software": software.software(),
    }
