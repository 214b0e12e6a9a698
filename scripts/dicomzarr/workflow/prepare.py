"""What happens in the main process before Snakemake builds its DAG.

It lists the source, compares what is on disk with what the records claim, and sweeps what a killed run left. No job
imports this module, so that an edit of it reruns nothing.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import re
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dicomzarr.privacy import pseudonyms as identity
from dicomzarr.records import export_record, rule_record
from dicomzarr.source import inventory, listing
from dicomzarr.source.safe_open import Opener
from dicomzarr.stages.join_labels import label_files
from dicomzarr.system import digested_json, files, json_files, locks, run_token
from dicomzarr.system.results_folder import Results
from dicomzarr.vocabulary.errors import UserError
from dicomzarr.workflow import progress_line
from dicomzarr.workflow.settings import Settings

# Options of Snakemake with which no data DAG is wanted, so that nothing is scanned, locked or made.
NO_SCAN = {
    "--lint", "--unlock", "--report", "--list-rules", "-l", "--list-target-rules", "--lt", "--print-compilation",
    "--version", "-v", "--help", "-h", "--list-conda-envs", "--conda-create-envs-only", "--conda-cleanup-envs",
    "--cleanup-metadata", "--containerize", "--archive", "--generate-unit-tests",
}  # fmt: skip
READ_BY_THE_DAG = {"private/plans/contents.json"}  # not by a job, which would tell that it is damaged
BATCH_RULES = ("extract_batch", "check_batch")
# Folders that the workflow makes, and those that Snakemake makes: what else stands at their place makes way.
FOLDERS = (
    "private", *(f"private/{name}" for name in ("records", "plans", "cache", "attempts", "progress", "labels")),
    *(f"private/{name}" for name in ("retired", "removed", "surplus")), "dataset", "dataset/images.zarr",
    "dataset/reports", "dataset/provenance", "logs", "benchmarks", "exports",
    *(f"{place}/{rule}" for place in ("private/records", "dataset/provenance", "logs", "benchmarks")
      for rule in BATCH_RULES),
)  # fmt: skip
FILES = (".csv", ".html", ".json", ".jsonl", ".lock", ".npy")  # no folder of ours is called so
SNAKEMAKE = (
    ".snakemake", *(f".snakemake/{name}" for name in ("metadata", "incomplete", "locks", "log", "scripts")),
    *(f".snakemake/{name}" for name in ("auxiliary", "iocache", "shadow", "conda", "conda-archive", "singularity")),
)  # fmt: skip
# Settings of profiles/default that recovery rests on, by their Snakemake option.
NEEDED_SETTINGS = ("rerun-incomplete", "nolock", "keep-going")

_BLOCK = 1 << 20

_made_with: dict[Path, tuple[str, Mapping[str, str]]] = {}  # of each true record, its rule and digests of its params
_unreadable: dict[Path, Sequence[str]] = {}  # of each true record, the files that could not be read
_held: list[int] = []  # file descriptors of the run lock, held for the life of the process


def wanted(arguments: Sequence[str]) -> bool:
    """Return whether the command line asks for a DAG over the data."""
    return not any(argument.split("=")[0] in NO_SCAN for argument in arguments)


def _files_by_label(rows: Iterable[Sequence[Any]], labels: Iterable[str]) -> Counter[str]:
    several = "" not in set(labels)
    return Counter(row[0].partition("/")[0] if several else "" for row in rows if row[1] == "file")


def refuse_drop(settings: Settings, rows: Sequence[Sequence[Any]], known_inventory: Path) -> None:
    """Refuse a source that lost all of its files, or more than the share allowed, since the last run.

    A folder that was taken out of the configuration is not missed: that was said on purpose.

    Raises
    ------
    UserError
        If files are missing and `confirm_drop` does not say that this is right.
    """
    if settings.confirm_drop:
        return
    try:
        known = inventory.known_rows(known_inventory)
        before = _files_by_label(known, next(known)[0])
    except (OSError, ValueError, LookupError, TypeError):
        return  # the first run, or a damaged inventory
    now = _files_by_label(rows, settings.sources)
    for label in sorted(set(before) & set(settings.sources)):
        was, left = before[label], now[label]
        if not left or was - left > settings.largest_drop * was:
            key = f"source.{label}" if label else "source"
            raise UserError(
                f"config key {key!r}: of the {was} files that the last run found, {was - left} are gone; nothing was "
                "changed. Is the disk mounted? If they were removed on purpose, add: --config confirm_drop=true"
            )


def read_again(results: Results) -> None:
    """Take back the records of what reads the source, so that it reads all of it again (`paranoid`)."""
    (results.records / "index_headers.json").unlink(missing_ok=True)
    for path in (results.records / "extract_batch").glob("*.json"):
        path.unlink()


def false_claims(results: Results) -> list[Path]:
    """Return the records that are damaged or of another version, or whose claim is false.

    It is where a file they name is missing or has another size; and another content, where the DAG itself reads it.
    """
    found, root = [], os.fspath(results.root)  # text, not paths: this runs for every file before every run
    for path in sorted(results.records.glob("*.json")) + sorted(results.records.glob("*/*.json")):
        try:
            record = digested_json.read_record(path)
            claimed: Mapping[str, Sequence[Any]] = record["claims"]
            true = record["schema_version"] == rule_record.SCHEMA_VERSION
            true = true and all(os.stat(f"{root}/{name}").st_size == said[0] for name, said in claimed.items())
            true = true and all(
                files.sha256_of(results.root / n) == claimed[n][1] for n in READ_BY_THE_DAG & {*claimed}
            )
        except (OSError, ValueError, KeyError, TypeError, IndexError):
            true = False
        if true:
            _made_with[path] = record["rule"], record["params"]
            _unreadable[path] = record.get("unreadable", ())
        else:
            found.append(path)
    return found


def readable_now(settings: Settings) -> list[Path]:
    """Return the true records, as the last scan read them, that name an unreadable file which can be read now.

    A permission or a disk may be mended without a trace in the file's stat. A file counts that can be read to its end,
    so that one with a bad block does not bring about a job in each run.
    """
    folders = {label: os.fsencode(folder) for label, folder in settings.sources.items()}
    with Opener(folders) as opener:
        return [path for path, names in sorted(_unreadable.items()) if any(_is_readable(n, opener) for n in names)]


def _is_readable(name: str, opener: Opener) -> bool:
    try:
        with open(opener.open(name), "rb", buffering=0) as stream:
            while stream.read(_BLOCK):
                pass
        return True
    except (OSError, LookupError):  # LookupError: of a source that is not configured any more
        return False


def made_otherwise(rules: Iterable[Any]) -> list[Path]:
    """Return the true records that were made with other params than the rules have now, as the last scan read them.

    Snakemake compares params too, with what it keeps in `.snakemake/`: that may be lost, or lie in another folder than
    the one in which the command is run now.
    """
    now = {rule.name: rule_record.digests_of(rule.params.items()) for rule in rules}
    return [
        path
        for path, (rule, params) in sorted(_made_with.items())
        if any(params.get(name) != digest for name, digest in now.get(rule, {}).items())
    ]


def make_way(folder: Path, names: Iterable[str]) -> None:
    """Remove a file in the place of a folder, and a folder in the place of a file; links may lead to the right one."""
    for path in (folder / name for name in names):
        if path.is_file() and not path.is_symlink():
            path.unlink()
            print("note: a file stood in the place of a folder and was removed", file=sys.stderr)
        with os.scandir(path) if path.is_dir() else contextlib.nullcontext(()) as listing:
            wrong = [e.path for e in listing if e.name.endswith(FILES) and e.is_dir(follow_symlinks=False)]
        for inner in wrong:
            files.remove_tree(Path(inner))
            print("note: a folder stood in the place of a file and was removed", file=sys.stderr)


def make_way_in(results: Results) -> None:
    """Make way in a folder of results; a folder that never was one is somebody's, and nothing in it is removed.

    Raises
    ------
    UserError
        If such a folder holds a file where results have a folder; with its name, which is one of `FOLDERS`.
    """
    if results.private.is_dir() or (results.dataset / "provenance").is_dir():
        make_way(results.root, FOLDERS)
    elif strange := next((name for name in FOLDERS if (results.root / name).is_file()), ""):
        raise UserError(
            f"config key 'results': the folder is none of this workflow's and holds a file {strange!r}, where results "
            "have a folder; choose another folder, or move that file away"
        )


def make_way_for_snakemake() -> None:
    """Let Snakemake make the folder in which it remembers what it did: without it, it ends in a traceback.

    Raises
    ------
    UserError
        If that cannot be, since the current folder cannot be written.
    """
    try:
        make_way(Path(), SNAKEMAKE)
        Path(SNAKEMAKE[0]).mkdir(exist_ok=True)
        writable = os.access(SNAKEMAKE[0], os.W_OK | os.X_OK)
    except OSError:
        writable = False
    if not writable:
        raise UserError(
            "the current folder cannot be written, and Snakemake keeps its notes in .snakemake/ there: start from "
            "another folder, and name source, results and --configfile by their whole paths"
        )


def sweep(results: Results) -> None:
    """Remove what a killed run left: temporary files and stores, and series folders that no record speaks for."""
    files.remove_tree(results.temporary)
    for folder in (results.private, results.dataset):
        for path in files.temporaries(folder):
            path.unlink()
    for path in results.exports.glob(f"*/.*{files.TEMPORARY}"):
        path.unlink()
    records = os.fspath(results.records / "extract_batch")
    for name in os.listdir(results.images) if results.images.is_dir() else ():
        if not re.fullmatch(r"[0-9a-f]{16}", name):
            if name != "zarr.json":
                files.remove_tree(results.images / name)
        elif not os.path.exists(f"{records}/{name[:3]}/{name}.json"):
            files.remove_tree(results.images / name)


def reopen_exports(results: Results, arguments: Sequence[str]) -> None:
    """Take back the records of exports that this run is asked for and that lack a file."""
    for kind in export_record.asked(arguments):
        lost = export_record.lost(results, kind)
        for record in lost:
            record.unlink()
        if lost:
            export_record.open_again(results, kind)


def keep_labels(results: Results, settings: Settings) -> None:
    """Keep what the label files say for the rule that joins it; take back what it made where there are none now."""
    fixed = settings.splits.get("fixed", {})
    if settings.labels or fixed:
        label_files.keep(results, settings.labels, fixed)
        return
    (results.records / "join_labels.json").unlink(missing_ok=True)
    for below in ("reports/labels.csv", "provenance/join_labels.json"):
        (results.dataset / below).unlink(missing_ok=True)
    files.remove_tree(results.private / "labels")


def known_key_checks(results: Results) -> set[str]:
    """Return the key checks that the dataset and the private state were made with, as far as they are not damaged."""
    found = set()
    for path, read in (
        (results.sealed, json_files.read_json),
        (results.private / "key_check.json", digested_json.read_record),
    ):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            found.add(str(read(path)["key_check"]))
    return found


def check_settings(workflow: Any) -> None:
    """Say which setting that recovery rests on is not in force, as when another profile replaced ours."""
    arguments = sys.argv
    profile = [a for a in arguments if a.startswith(("--workflow-profile", "--profile"))]
    local = Path("profiles/default")
    ours = Path(str(workflow.basedir)) / "profiles" / "default"
    if (local.exists() and local.resolve() != ours.resolve()) or profile:
        print(
            "note: another Snakemake profile is in force; recovery by the same command needs these in it: "
            + ", ".join(NEEDED_SETTINGS),
            file=sys.stderr,
        )


def prepare(settings: Settings) -> Results:
    """Make the results folder ready for a DAG: locks, key, inventory, and only true records.

    Raises
    ------
    UserError
        If another run holds the folder, its key is lost, the source lost many files, or it cannot be written.
    """
    results = Results(settings.results)
    try:
        results.root.mkdir(parents=True, exist_ok=True)
        make_way_in(results)
        files.make_private(results.private)
        results.private.chmod(files.PRIVATE_FOLDER)
        _held.append(locks.hold_run(results.private, datetime.datetime.now().astimezone().isoformat(" ", "seconds")))
        run_token.begin(results.private)
        locks.wait_for_orphans(results.private)
        begun = any(results.records.glob("extract_batch/*/*.json"))
        pseudonyms = identity.establish(results.private, known_key_checks(results), begun=begun)
        check = digested_json.record_json({"key_check": pseudonyms.key_check})
        files.write_if_changed(results.private / "key_check.json", check, private=True)
        # Made here, since Snakemake would make the folders of its outputs by the umask of the user.
        for folder in (results.plans, results.records, *(results.records / rule for rule in BATCH_RULES)):
            files.make_private(folder)
        rows = listing.list_sources(settings.sources, follow_links=settings.follow_links)
        refuse_drop(settings, rows, results.inventory)
        keep_labels(results, settings)
        sweep(results)
        for record in false_claims(results):
            files.remove_tree(record)
        for record in readable_now(settings):
            record.unlink()
        reopen_exports(results, sys.argv[1:])
        if settings.paranoid:
            read_again(results)
        inventory.write(settings.sources, rows, results.inventory)
    except OSError as error:
        raise UserError(
            f"config key 'results': the folder cannot be prepared: {os.strerror(error.errno or 0)}; "
            "check its permissions and the space on its disk"
        ) from None
    progress_line.start(results, sum(row[1] == "file" for row in rows))
    return results
