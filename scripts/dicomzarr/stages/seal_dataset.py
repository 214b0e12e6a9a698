"""The seal of a dataset: digests of digests, so that nothing is read twice."""

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
        The keys of the configuration that may be shown.
    pseudonyms : Pseudonyms
        Gives `key_check`.
    """
    files = recorded_files(results)
    return {
        "schema_version": SCHEMA_VERSION,
        "digest": digest_of((path, digest) for path, digest in files.items() if counts_as_data(path)),
        "seal": digest_of(files.items()),
        "key_check": pseudonyms.key_check,
        "counts": RuleRecord.load(consolidated).counts,
        "config": dict(config),
        "software": software.software(),
    }
