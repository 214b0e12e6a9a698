"""Seal the dataset: its digests and checksums, from the recorded digests of files, without reading them again."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path

from dicomzarr.privacy.pseudonyms import Pseudonyms
from dicomzarr.records import digests
from dicomzarr.records.batch_record import BatchRecord
from dicomzarr.records.digests import CHECKSUMS, line_of
from dicomzarr.records.record_file import FileClaim
from dicomzarr.records.rule_record import RuleRecord
from dicomzarr.system import files, signatures, software
from dicomzarr.system.results_folder import Results
from dicomzarr.vocabulary.errors import UserError

log = logging.getLogger("dicomzarr")

SCHEMA_VERSION = 1


def seal(
    results: Results,
    consolidated: Path,
    config: Mapping[str, object],
    pseudonyms: Pseudonyms,
    processes: int = 1,
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
    processes : int
        Most processes to use.

    Returns
    -------
    sealed : dict
        See dataset.json in docs/outputs.md.
    checksums : bytes
        Size and digest of every file but these two.
    """
    lines = digests.recorded_lines(results, processes)
    checksums = b"".join(lines)
    of_checksums = line_of(CHECKSUMS, FileClaim(len(checksums), files.sha256_of_bytes(checksums)))
    data, all_files = digests.digests_of_lines(digests.in_order([*lines, of_checksums]))
    sealed = {
        "schema_version": SCHEMA_VERSION,
        "digest": data,
        "seal": all_files,
        "key_check": pseudonyms.key_check,
        "counts": RuleRecord.load(consolidated).counts,
        "config": dict(config),
        "software": software.software(),
    }
    return sealed, checksums


def refuse_unlooked(batches: Iterable[Path], detector: str) -> None:
    """Refuse to seal a dataset in whose pixels this detector did not look for text.

    Parameters
    ----------
    batches : iterable of Path
        The records of the extraction of all batches.
    detector : str
        Digest of its code; empty without `burned_in: scan`.

    Raises
    ------
    UserError
        If a record names no detector, or another one. Each is written after the control of its job succeeded.
    """
    others = sum(BatchRecord.load(path).detector != detector for path in batches) if detector else 0
    if others:
        raise UserError(
            f"burned_in: scan: in {others} {'batch' if others == 1 else 'batches'} the search for text in pixels of "
            "this version did not look, so that the dataset is not sealed; run once with --forcerun extract_batch"
        )


def remove_stale_signature(results: Results, content: bytes) -> None:
    """Remove the signature of `dataset.json` unless it is one of the content that it will have.

    Parameters
    ----------
    results : Results
    content : bytes
        Of `dataset.json`, before it is written: a signature never lies beside a file for which it does not hold.
    """
    path, signature = signatures.path_of(results.sealed), signatures.read(results.sealed)
    if signature is None:
        return
    try:
        holds, why = signatures.holds(content, signature), "it is not one of these bytes"
    except signatures.NoProgram:
        holds, why = False, "without ssh-keygen, nothing shows whether it holds"
    if not holds:
        files.remove_tree(path)
        log.warning("the signature was removed: %s; ./run sign makes a new one", why)
