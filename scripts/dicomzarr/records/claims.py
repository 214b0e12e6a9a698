"""What the records of a results folder claim, compared with what is on disk."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dicomzarr.records import rule_record
from dicomzarr.records.revoke import Revocation
from dicomzarr.source.safe_open import Opener
from dicomzarr.system import digested_json, files
from dicomzarr.system.results_folder import Results

# Compared by content, since Snakemake's own process reads it: no job would notice that it is damaged.
READ_BY_THE_DAG = {"private/plans/contents.json"}
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class TrueRecord:
    """A record whose claim holds: the rule, digests of the params it was made with, source files it could not read."""

    rule: str
    params: Mapping[str, str]
    unreadable: Sequence[str]


@dataclass(frozen=True, slots=True)
class Claims:
    """The records of rules and batches, by path: those whose claim holds, and why the others are to be revoked."""

    true: Mapping[Path, TrueRecord] = field(default_factory=dict)
    false: Mapping[Path, Revocation] = field(default_factory=dict)

    def made_otherwise(self, params: Mapping[str, Mapping[str, str]]) -> list[Path]:
        """Return the true records that were made with other params than their rules have now.

        Snakemake compares params too, with what it keeps in `.snakemake/`: that may be lost, or lie in another folder
        than the one in which the command is run now.

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

    def readable_again(self, sources: Mapping[str, Path]) -> list[Path]:
        """Return the true records that name an unreadable source file which can be read to its end now.

        A permission or a disk may be mended without a trace in the file's stat. One bad block must not bring about a
        job in each run, so that the whole file is read.

        Parameters
        ----------
        sources : mapping of str to Path
            Absolute source folders by label.
        """
        folders = {label: os.fsencode(folder) for label, folder in sources.items()}
        with Opener(folders) as opener:
            return [
                path
                for path, record in sorted(self.true.items())
                if any(_is_readable(name, opener) for name in record.unreadable)
            ]


def check(results: Results) -> Claims:
    """Return which records of rules and batches are whole, of this version, and have every claimed file in its size."""
    true: dict[Path, TrueRecord] = {}
    false: dict[Path, Revocation] = {}
    root = os.fspath(results.root)  # text, not paths: this runs for every file before every run
    for path in sorted(results.records.glob("*.json")) + sorted(results.records.glob("*/*.json")):
        try:
            record = digested_json.read_record(path)
            claimed: Mapping[str, Sequence[Any]] = record["claims"]
            current = TrueRecord(record["rule"], record["params"], record.get("unreadable", ()))
            is_current = record["schema_version"] == rule_record.SCHEMA_VERSION
        except (OSError, ValueError, KeyError, TypeError):
            false[path] = Revocation.DAMAGED
            continue
        if not is_current:
            false[path] = Revocation.PARAMS_CHANGED
            continue
        try:
            whole = all(os.stat(f"{root}/{name}").st_size == claim[0] for name, claim in claimed.items())
        except OSError:
            whole = False
        if not whole:
            false[path] = Revocation.FILE_MISSING
        elif any(files.sha256_of(results.root / name) != claimed[name][1] for name in READ_BY_THE_DAG & {*claimed}):
            false[path] = Revocation.DAMAGED
        else:
            true[path] = current
    return Claims(true, false)


def _is_readable(name: str, opener: Opener) -> bool:
    try:
        with open(opener.open(name), "rb", buffering=0) as stream:
            while stream.read(_BLOCK):
                pass
        return True
    except (OSError, LookupError):  # LookupError: of a source that is not configured any more
        return False
