"""Search everything outside `results/private/` that is new or changed for header values and paths of the source.

A self-test comes first: the search must find planted values in every form that it supports.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import IO, Any

from dicomzarr.privacy import configured_words, positive_control
from dicomzarr.privacy.absent_hashes import AbsentHashes
from dicomzarr.privacy.grouped_numbers import numbers_in_groups
from dicomzarr.privacy.identifiers import IDENTIFIERS, read_identifiers
from dicomzarr.privacy.plain_words import own_words, shipped_parts, snakemake_words
from dicomzarr.privacy.scanner import CODES, Allowed, Scanner
from dicomzarr.privacy.search import Search
from dicomzarr.privacy.search_cache import SearchCache, Sought, ThisRun, read_cache
from dicomzarr.privacy.words import words_of
from dicomzarr.records import digests, samples
from dicomzarr.source.inventory import read_roots
from dicomzarr.source.object_store import SCHEME, ObjectRoot, is_object_store
from dicomzarr.system import files, locks, other_hosts, safe_messages, shortage
from dicomzarr.system.forked_work import cores
from dicomzarr.system.project import ROOT
from dicomzarr.system.results_folder import Results
from dicomzarr.system.software import software
from dicomzarr.vocabulary.errors import UserError

LEVELS = ("standard", "full")
MAX_LISTED = 20  # findings in the message
_TICK = 0.02  # seconds; file systems record times in steps of up to a hundredth


class PrivacyProblem(UserError):
    """A header value or path of the source was found outside `private/`, or the self-test failed."""


def check_privacy(
    results: Results,
    work: Path,
    level: str,
    code: str,
    chosen: Sequence[str] = (),
    processes: int = 1,
    cached: Mapping[str, Any] | None = None,
) -> int:
    """Search all new or changed files for identities; return how many files were searched.

    Parameters
    ----------
    results : Results
        Searched except for `private/`.
    work : Path
        The folder in which Snakemake runs: its `.snakemake/` is searched too.
    level : str
        ``standard``, or ``full`` to search decompressed pixels as well.
    code : str
        Digest of the code that searches; files that other code found clean are searched again.
    chosen : sequence of str
        Texts of the configuration that belong in the dataset, such as the values of labels; they are no leak.
    processes : int
        Most processes to use; few files are searched by one.
    cached : mapping, optional
        What `read_cache` returned, if it was called.

    Returns
    -------
    int

    Raises
    ------
    PrivacyProblem
        If there is a leak, with its codes and places; or if the self-test does not find a planted value.
    """
    cache = results.private / "cache"
    try:
        identifiers, gathered, whole = read_identifiers(cache / IDENTIFIERS)
    except (OSError, ValueError, EOFError, IndexError):
        raise PrivacyProblem(
            "the header texts to search for are missing (private/cache): run the workflow again"
        ) from None
    own = own_words(ROOT)
    self_test(own, results, with_voxels=level == "full")
    # Records state versions of software: one of a year, a month and a day may be the name of a folder of the source.
    own |= {word for text in (*chosen, *software().values()) for word in (*words_of(text), *numbers_in_groups(text))}
    absent_hashes = AbsentHashes(cache, identifiers)
    snakemakes = own | snakemake_words()
    # What is accepted beside them only grows, so that clean files stay clean: it is no condition of the cache.
    in_exports = own | configured_words.remember(cache, chosen)
    in_notes = in_exports | snakemakes | configured_words.remembered(work / ".snakemake")
    shipped = shipped_parts(ROOT)
    folders = _known_folders(results, work)
    with_source = folders + _source_folders(results)
    scanners = {
        "dataset": Scanner(absent_hashes, own, Allowed(shipped=shipped)),
        "job": Scanner(absent_hashes, own, Allowed(lines=_OF_A_JOB, shipped=shipped)),
        "exports": Scanner(absent_hashes, in_exports, Allowed(lines=_FRAME)),
        "snakemake": Scanner(absent_hashes, in_notes, Allowed(with_source), with_numbers=False),
        "log": Scanner(absent_hashes, in_notes, Allowed(with_source, _OF_THE_RUN), with_numbers=False),
        "executor": Scanner(absent_hashes, snakemakes, Allowed(folders), with_numbers=False),
    }
    time.sleep(_TICK)  # so that files written from now on have a later time than those there now
    version = (code, level, f"{gathered:x}", *chosen)
    sought = Sought(version, (own, snakemakes, _digests(shipped)), whole)
    place = tuple(os.stat(folder).st_ino for folder in (results.private, cache))
    this_run = ThisRun(_run_of(results), place, partial(_is_intact, results))
    memory = SearchCache(cache, sought, absent_hashes, this_run, cached)
    findings = Search(scanners, results, work, level, memory).run(processes)
    memory.save()
    if findings:
        more = f" and {len(findings) - MAX_LISTED} more" if len(findings) > MAX_LISTED else ""
        codes = sorted({finding.leak.code for finding in findings})
        raise PrivacyProblem(
            "; ".join(map(str, findings[:MAX_LISTED]))
            + more
            + ". That means: "
            + "; ".join(f"{code}: {CODES[code]}" for code in codes)
            + ". Do not share this folder. If the workflow did not write that file, remove it and run again; if the "
            "source was corrected, remove private/cache/identifiers.npy and run again; else please open an issue with "
            "this line, which holds no value. About false alarms: docs/data-policy.md"
        )
    return memory.searched


def texts_of(value: Any) -> list[str]:
    """Return the texts among JSON values: of the config key `card`, which are published as the user wrote them."""
    if isinstance(value, dict):
        value = list(value.values())
    return [value] if isinstance(value, str) else [text for item in value for text in texts_of(item)]


def search_afterwards(results: Results, work: Path) -> None:
    """Search files written after the last search, with its level and code; if there was none, search all files.

    Raises
    ------
    PrivacyProblem
        As `check_privacy`.
    """
    if not files.exists(results.private / "cache" / IDENTIFIERS):
        return  # no header was read
    cached = read_cache(results.private / "cache")
    code, level, _, *chosen = cached.get("version", ("", LEVELS[0], ""))
    check_privacy(results, work, level, code, chosen, cores(), cached)


def main(stdin: IO[bytes]) -> int:
    """Search the results folder that is named on standard input, once Snakemake has ended; the launcher starts this."""
    folder = stdin.read()
    if not folder:
        return 0  # the launcher has ended, or there is nothing to search
    try:
        search_afterwards(Results(Path(os.fsdecode(folder))), Path.cwd())
    except UserError as error:
        message = str(error)
    except OSError as error:  # as `workflow.job` says it: the disk is full, a file cannot be read
        where = safe_messages.error_location(error)
        message = shortage.described(error) or f"{safe_messages.os_error_message(error)} ({where})"
    except shortage.Shortage as lack:
        message = str(lack)
    except Exception as error:  # its text could quote a file that was searched
        message = shortage.described(error)
        message = (
            message or f"internal error, {safe_messages.error_location(error)}; please open an issue with this line"
        )
    else:
        return 0
    print(f"Error: check_privacy: {message}", file=sys.stderr)
    return 1


# ---- texts of the run


def _is_intact(results: Results) -> bool:
    """Return whether a random sample of the dataset has the recorded contents."""
    claims = {results.dataset / path: claim for path, claim in digests.recorded_files(results).items()}
    sample = samples.compare_claims(claims)
    return sample.files > 0 and sample.is_equal


def _digests(parts: Sequence[bytes]) -> frozenset[str]:
    return frozenset(hashlib.sha256(part).hexdigest() for part in parts)


def _run_of(results: Results) -> str:
    """Return what identifies this run of the workflow: the process that has, or had, its lock, and since when."""
    owner = other_hosts.read_owner(results.private / locks.RUN)
    return other_hosts.in_words(owner) if owner else ""


def _known_folders(results: Results, work: Path) -> tuple[str, ...]:
    """Return folders whose paths may occur in `.snakemake/` and nowhere else, as typed and resolved."""
    folders = [*map(str, (work, results.root, results.root.absolute(), ROOT, os.path.expanduser("~")))]
    folders.append(os.path.relpath(results.root, work))
    folders += [sys.prefix, sys.base_prefix, tempfile.gettempdir(), os.environ.get("TMPDIR", "")]
    folders += sys.path  # Snakemake writes the folder of the main Snakefile, of another workflow, into scripts of jobs
    folders += [os.path.realpath(folder) for folder in folders if folder]
    return tuple(dict.fromkeys(folder for folder in folders if len(folder) > 2))


# What Snakemake's log says of the run, not of the source: a patient may have the name of a user, of a host, or of the
# folder in which the command was typed, or which it had for temporary files.
_OF_THE_RUN = re.compile(
    r"^  (?:Host|User|Platform|Command|Config file\(s\)|Snakefile|(?:Base|Run|Working) directory): .*$"
    r"|(?<=[:,] )tmpdir=[^,\n]*",
    re.MULTILINE,
)


# When a line of a log was written, and the name of a log of Snakemake: studies of that day may be in the source. And
# how many bytes a file has and should have: of millions of accession numbers, one is the same by chance.
_DAY = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
_OF_A_JOB = re.compile(
    rf"^{_DAY} [0-9]{{2}}:[0-9]{{2}}:[0-9]{{2}},[0-9]{{3}} |\b{_DAY}T[0-9]{{6}}\.[0-9]{{6}}\.snakemake\.log\b"
    r"|\btruncated_pixel_data, found [0-9]+, needed [0-9]+$",
    re.MULTILINE,
)


# What exports name the pictures of frames, by their places in the array: a file or a patient may be called z0001, too.
_FRAME = re.compile(r"\b(?:t[0-9]{4,}_z[0-9]{4,}|[tz][0-9]{4,})\.png\b")


def _source_folders(results: Results) -> tuple[str, ...]:
    """Return the paths of the source, which may occur in `.snakemake/`, but not in what jobs on other nodes show."""
    paths: list[str] = []
    try:
        for root in read_roots(results.inventory).values():
            paths.append(_as_typed(ObjectRoot.parse(root)) if is_object_store(root) else os.fsdecode(root))
    except (OSError, ValueError, KeyError):
        pass
    return tuple(path for path in paths if len(path) > 2)


def _as_typed(root: ObjectRoot) -> str:
    return f"{SCHEME}{root.bucket}/{root.prefix}".rstrip("/")


def self_test(own: frozenset[str], results: Results, *, with_voxels: bool) -> None:
    """Self-test: plant a random value in every supported form, and find each of them.

    Parameters
    ----------
    own : frozenset of str
        Words of the project itself, which are no leak.
    results : Results
        Its temporary folder takes the planted files.
    with_voxels : bool
        Plant it in voxels too.

    Raises
    ------
    PrivacyProblem
        If one is not found: the run ends before the seal.
    """
    control = positive_control.run(own, results.temporary / f"canary.{os.getpid()}", with_voxels=with_voxels)
    if control.missed:
        raise PrivacyProblem(
            f"the search for leaks does not find a planted value ({', '.join(control.missed)}): please open an issue"
        )


if __name__ == "__main__":
    sys.exit(main(sys.stdin.buffer))
