"""`./run retrieve`: fill the source folder from a DICOMweb server, by a list of studies."""

from __future__ import annotations

import contextlib
import datetime
import json
import logging
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dicomzarr.commands.launcher import json_output
from dicomzarr.commands.launcher.command_table import AGAIN, BY_NAME, DRY_RUN, JSON
from dicomzarr.commands.launcher.options import Options, configuration_of, parse
from dicomzarr.commands.launcher.processes import say
from dicomzarr.system import files, locks, safe_messages
from dicomzarr.system.results_folder import Results
from dicomzarr.terminal.screen import counted
from dicomzarr.vocabulary.errors import ConfigProblem, UserError

if TYPE_CHECKING:
    from dicomzarr.retrieval.request_list import Line
    from dicomzarr.retrieval.retrieve import Summary
    from dicomzarr.retrieval.server import Patience, Server

REPORT_EVERY = 30.0  # s between lines of progress
FULL = "run: the disk of the source or the results is full, or refuses to write: "


@dataclass(frozen=True, slots=True)
class Place:
    """What the configuration says: the server, the list, and the folders."""

    url: str
    studies: Path
    source: Path
    results: Results


def run_retrieve(arguments: Sequence[str], patience: Patience | None = None) -> int:
    """Retrieve what the list asks for; return the exit status.

    Parameters
    ----------
    arguments : sequence of str
        Those of the command.
    patience : Patience, optional
        How long the server gets; by default that of the class.

    Raises
    ------
    UserError
        If an argument, the configuration, the list or an environment variable is wrong.
    """
    options = parse(BY_NAME["retrieve"], arguments)
    try:
        place = _place(options)
    except ConfigProblem as problem:
        from dicomzarr.workflow.config_file import with_line

        raise UserError(with_line(problem, arguments)) from None
    safe_messages.silence_libraries()
    logging.disable()  # warnings of urllib3 name the address
    from dicomzarr.retrieval import accounts, file_uids, folder, request_list, server

    lines = request_list.read_list(place.studies)
    headers = server.credentials()
    folder.refuse_foreign(place.source)
    if place.url.startswith("http://") and headers and not _is_this_machine(place.url):
        say("note: dicomweb.url begins with http://, so that credentials and images travel readable; use https://")
    patience = patience or server.Patience()
    report = _Report()
    try:
        file_uids.start_reader()
        connection = server.Server(place.url, headers, patience, report.waiting)
        if options.has(DRY_RUN.name):
            from dicomzarr.retrieval import retrieve

            account = accounts.Accounts(place.results.private)
            return _show_plan(retrieve.look(connection, place.source, account, lines, report), options)
        summary = _retrieve(connection, place, lines, patience, report, again=options.has(AGAIN.name))
        return _show(summary, options, place)
    except server.ServerProblem as problem:
        kept = ""
        if not options.has(DRY_RUN.name):
            _log(place.results, str(problem))
            kept = " Files that were retrieved are kept"
        say(f"run: {problem}{'' if str(problem).endswith('?') else '.'}{kept}")
    except OSError as error:
        say(FULL + safe_messages.os_error_message(error))
    except locks.Locked as problem:
        say(f"run: {problem}")
    except UserError:
        raise
    except Exception as error:
        say(f"run: the retrieval failed ({safe_messages.error_location(error)}); please report this")
    finally:
        file_uids.stop_reader()
    return 1


def _retrieve(
    connection: Server, place: Place, lines: Sequence[Line], patience: Patience, report: _Report, *, again: bool
) -> Summary:
    """Retrieve what is missing, alone on the results folder, and note it in the log."""
    from dicomzarr.retrieval import accounts, folder, retrieve

    lock = locks.lock_run(files.make_private(place.results.private), _now())
    is_new = not files.exists(place.source)
    try:
        target = folder.Folder(place.source)
        try:
            account = accounts.Accounts(place.results.private)
            summary = retrieve.retrieve(connection, target, account, lines, patience, report, again=again)
        finally:
            target.close()
            if is_new:  # an empty source would be taken for one that has been filled
                with contextlib.suppress(OSError):
                    place.source.rmdir()
        _log(place.results, json.dumps(summary.as_dict()))
        return summary
    finally:
        os.close(lock)


def _place(options: Options) -> Place:
    """Return what the configuration says.

    Raises
    ------
    ConfigProblem
        If a key is wrong, or one that is needed is missing.
    """
    from dicomzarr.workflow import settings

    config = settings.with_defaults(configuration_of(options))
    settings.check_keys(config)
    dicomweb: dict[str, str] = config["dicomweb"]
    for key in ("url", "studies"):
        if key not in dicomweb:
            raise ConfigProblem(
                f"config key 'dicomweb.{key}' is missing; ./run retrieve needs the url of a DICOMweb service and "
                "studies, a CSV list of what to retrieve: docs/dicomweb.md"
            )
    source = _source(config["source"], dicomweb.get("label", ""))
    for key, text in (("source", source), ("results", config["results"]), ("dicomweb.studies", dicomweb["studies"])):
        settings.refuse_unexpanded(key, text)
    folder, results = (Path(os.path.abspath(path)).resolve() for path in (source, config["results"]))
    if folder == results or folder in results.parents or results in folder.parents:
        raise ConfigProblem("config key 'source': source and results lie within each other; name separate folders")
    if files.exists(folder) and not files.is_dir(folder):
        raise ConfigProblem("config key 'source': it is no folder; name one that is empty or does not exist yet")
    source_folder = Path(os.path.abspath(source))
    return Place(dicomweb["url"], Path(dicomweb["studies"]), source_folder, Results(Path(config["results"])))


def _source(value: str | dict[str, str], label: str) -> str:
    """Return the folder to fill."""
    if isinstance(value, dict):
        if label not in value:
            raise ConfigProblem(
                "config key 'dicomweb.label': with several sources, needed is the label of the folder to fill: one of "
                + ", ".join(value)
            )
        source = value[label]
    elif label:
        raise ConfigProblem("config key 'dicomweb.label': there is only one source, which has no label; remove the key")
    else:
        source = value
    if "://" in source:
        raise ConfigProblem("config key 'source': ./run retrieve fills a folder of this machine, no object storage")
    return source


def _is_this_machine(url: str) -> bool:
    from urllib.parse import urlsplit

    return urlsplit(url).hostname in ("localhost", "127.0.0.1", "::1")


class _Report:
    """Prints how far it is, now and then."""

    def __init__(self) -> None:
        self._next = time.monotonic() + REPORT_EVERY
        self._next_waiting = 0.0

    def __call__(self, text: str) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + REPORT_EVERY
            say(text)

    def waiting(self) -> None:
        """Say that the server does not answer, and is asked again: that takes a minute or more."""
        if time.monotonic() >= self._next_waiting:
            self._next_waiting = time.monotonic() + REPORT_EVERY
            say("the server does not answer, or is busy; trying again")


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _log(results: Results, text: str) -> None:
    """Add a line to the private log: a number in it may be that of a patient by chance."""
    files.append_private(results.private / "retrieval" / "retrieve.log", f"{_now()} {text}\n".encode())


# ---- What is shown


def _show_plan(summary: Summary, options: Options) -> int:
    if options.has(JSON.name):
        json_output.show(summary.as_dict())
    else:
        print(_asked(summary))
        print(f"{summary.to_retrieve:,} would be retrieved")
        _print_notes(summary)
    return 0


def _asked(summary: Summary) -> str:
    listed = (
        counted(summary.studies, "study", "studies"),
        counted(summary.series, "series", "series"),
        counted(summary.instances, "instance"),
    )
    return f"{counted(summary.lines, 'line')} of the list: {', '.join(listed)} on the server"


def _show(summary: Summary, options: Options, place: Place) -> int:
    status = 0 if summary.is_complete else 1
    if options.has(JSON.name):
        json_output.show({"status": status, "complete": summary.is_complete, **summary.as_dict()})
        return status
    print(_asked(summary))
    megabytes = f"{summary.bytes / 1e6:,.1f} MB"
    print(f"in the source: {counted(summary.retrieved, 'instance')}; new: {counted(summary.new, 'file')}, {megabytes}")
    _print_notes(summary)
    if status:
        say(
            f"run: not complete: retrieval.csv, retrieval_series.csv and retrieval_list.csv in {place.results.private} "
            "say what is missing and why; run the same command again to ask for it again"
        )
    return status


def _print_notes(summary: Summary) -> None:
    """Print the numbers that are not zero."""
    notes = (
        (summary.changed, "files that changed on the server, and were replaced"),
        (summary.grown_studies, "studies of earlier runs that have grown"),
        (summary.lines_without_match, "lines of the list that match nothing on the server"),
        (summary.lines_failed, "lines of the list whose query failed on the server"),
        (summary.not_matching, "studies named by the server with other values than the list, and left out"),
        (summary.missing, "instances that are missing"),
        (summary.refused, "instances that the server refused"),
        (summary.mismatch, "instances that came as something else"),
        (summary.incomplete_series, "series that are not complete"),
        (summary.set_aside, "files that were not asked for, set aside and listed in private/retrieval_aside.csv"),
        (summary.duplicates, "files that came twice"),
        (summary.left_over, "files that are no longer asked for or no longer on the server, and stay"),
    )
    for number, text in notes:
        if number:
            print(f"{text}: {number:,}")
