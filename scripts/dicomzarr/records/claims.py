"""Compare the claims of the records in a results folder with the files on disk."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from dicomzarr.records import rule_record
from dicomzarr.records.batch_record import EXTRACT
from dicomzarr.records.record_file import OtherSchema
from dicomzarr.records.revoke import Revocation
from dicomzarr.records.rule_record import RuleRecord
from dicomzarr.source.archives import names as archive_names
from dicomzarr.source.opener import Opener
from dicomzarr.system import files, json_files
from dicomzarr.system.forked_work import cores, sharing
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

    def of_other_plans(self, results: Results) -> list[Path]:
        """Return the true records of extractions whose plan is not that of the table of contents.

        So it is in a copy of older results that was put back. Snakemake remembers that the later plan was carried out.

        Parameters
        ----------
        results : Results
        """
        try:
            planned = json_files.read_json(results.plans / "contents.json")["batches"]
            digests = {
                name: rule_record.digests_of([("plan", entry["digest"])])["plan"] for name, entry in planned.items()
            }
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return []
        return [
            path
            for path, record in sorted(self.true.items())
            if record.rule == EXTRACT and record.params.get("plan") != digests.get(path.stem, record.params.get("plan"))
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


# Bytes of records that one more process is worth: it saves more than it takes to fork the main process.
_BYTES_PER_PROCESS = 1 << 20


@contextlib.contextmanager
def checking(results: Results, processes: int | None = None) -> Generator[Callable[[], Claims]]:
    """Begin to check all records of rules and batches in forked processes; yield a function that returns the result.

    A record is true if it is undamaged and of this schema, and each file that it claims exists with its size.

    Parameters
    ----------
    results : Results
    processes : int, optional
        How many, this one included; by default as many as there are cores for this process.

    Notes
    -----
    The source can be listed meanwhile. Little work is left to this process alone.
    """
    paths = list(rule_record.paths(results))
    others = (processes or cores()) - 1
    others = min(others, sum(map(_size_of, paths)) // _BYTES_PER_PROCESS)
    with sharing(partial(_verdict, results), paths, others) as work:

        def finish() -> Claims:
            true: dict[Path, TrueRecord] = {}
            false: dict[Path, Revocation] = {}
            for path, verdict in zip(paths, work.finish(), strict=True):
                if isinstance(verdict, TrueRecord):
                    true[path] = verdict
                else:
                    false[path] = verdict
            return Claims(true, false)

        yield finish


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _verdict(results: Results, path: Path) -> TrueRecord | Revocation:
    """Return what is needed of a record whose claims hold, or why it must be revoked."""
    try:
        record = rule_record.load_common(path)
    except OtherSchema:
        return Revocation.PARAMS_CHANGED
    except (OSError, Damaged):
        return Revocation.DAMAGED
    root, stat = os.fspath(results.root), os.stat  # str, not Path: this loop runs over every file before every run
    try:
        is_complete = all(stat(f"{root}/{name}").st_size == claim.size for name, claim in record.claims.items())
    except OSError:
        is_complete = False
    if not is_complete:
        return Revocation.FILE_MISSING
    if not _content_matches(results, record):
        return Revocation.DAMAGED
    return TrueRecord(record.rule, record.params, record.unreadable)


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
