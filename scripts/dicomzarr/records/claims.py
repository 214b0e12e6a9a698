"""Compare the claims of the records in a results folder with the files on disk."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dicomzarr.records import rule_record
from dicomzarr.records.record_file import OtherSchema
from dicomzarr.records.revoke import Revocation
from dicomzarr.records.rule_record import RuleRecord
from dicomzarr.source.archives import names as archive_names
from dicomzarr.source.opener import Opener
from dicomzarr.system import files
from dicomzarr.system.results_folder import Results
from dicomzarr.vocabulary.errors import Damaged

# Compared by content: the main process reads it while it builds the DAG, so no job would notice that it is damaged.
READ_BY_THE_DAG = {"private/plans/contents.json"}
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class TrueRecord:
    """A record whose claims hold: its rule, digests of the job's params, source files that could not be read."""

    rule: str
    params: Mapping[str, str]
    unreadable: Sequence[str]


@dataclass(frozen=True, slots=True)
class Claims:
    """Records of rules and batches, by path: those whose claims hold, and why the others must be revoked."""

    true: Mapping[Path, TrueRecord] = field(default_factory=dict)
    false: Mapping[Path, Revocation] = field(default_factory=dict)

    def with_other_params(self, params: Mapping[str, Mapping[str, str]]) -> list[Path]:
        """Return the true records whose job had other params than the rule has now.

        Snakemake compares params too, with its metadata in `.snakemake/`. That folder may be lost, or the command may
        now run in another working directory.

        Parameters
        ----------
        params : mapping of str to mapping
            Digests of the params of each rule by name, as `rule_record.digests_of` returns them.
        """
        return [
            path
            for path, record in sorted(self.true.items())
            if any(record.params.get(name) != digest for name, digest in params.get(record.rule, {}).items())
        ]

    def readable_again(self, sources: Mapping[str, bytes]) -> list[Path]:
        """Return the true records that name an unreadable source file which can now be read to its end.

        A permission or a disk may be repaired without a change in the file's stat. The whole file is read, because one
        bad block must not cause a job in each run.

        Parameters
        ----------
        sources : mapping of str to bytes
            Roots by label: absolute source folders.
        """
        with Opener(sources) as opener:
            return [
                path
                for path, record in sorted(self.true.items())
                if any(_is_readable(name, opener) for name in record.unreadable)
            ]


def check(results: Results) -> Claims:
    """Check all records of rules and batches: undamaged, of this schema, every claimed file exists with its size."""
    true: dict[Path, TrueRecord] = {}
    false: dict[Path, Revocation] = {}
    root = os.fspath(results.root)  # str, not Path: this loop runs over every file before every run
    for path in rule_record.paths(results):
        try:
            record = rule_record.load_common(path)
        except OtherSchema:
            false[path] = Revocation.PARAMS_CHANGED
            continue
        except (OSError, Damaged):
            false[path] = Revocation.DAMAGED
            continue
        try:
            is_complete = all(os.stat(f"{root}/{name}").st_size == claim.size for name, claim in record.claims.items())
        except OSError:
            is_complete = False
        if not is_complete:
            false[path] = Revocation.FILE_MISSING
        elif not _content_matches(results, record):
            false[path] = Revocation.DAMAGED
        else:
            true[path] = TrueRecord(record.rule, record.params, record.unreadable)
    return Claims(true, false)


def _content_matches(results: Results, record: RuleRecord) -> bool:
    """Return whether the files that are compared by content have the digest that the record claims."""
    names = READ_BY_THE_DAG & {*record.claims}
    return all(files.sha256_of(results.root / name) == record.claims[name].digest for name in names)


def _is_readable(name: str, opener: Opener) -> bool:
    """Return whether a file can be read to its end; for a member, the archive: it is not opened as one here."""
    archive, _ = archive_names.split(name)
    try:
        with contextlib.closing(opener.open(archive)) as file:
            offset = 0
            while block := file.read(_BLOCK, offset):
                offset += len(block)
        return True
    except (OSError, LookupError):  # LookupError: the source is no longer configured
        return False
