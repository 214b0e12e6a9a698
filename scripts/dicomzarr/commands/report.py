"""`./run report`: print where the report page is, and open it in a browser."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

from dicomzarr.commands import browser
from dicomzarr.commands.launcher.command_table import BY_NAME, NO_OPEN
from dicomzarr.commands.launcher.options import no_dataset, note_unless_sealed, parse, results_of
from dicomzarr.commands.launcher.processes import say
from dicomzarr.commands.run import last_build
from dicomzarr.commands.run.summary import changes_in_short, in_words
from dicomzarr.system import files, json_files
from dicomzarr.system.results_folder import Results


def run_report(arguments: Sequence[str]) -> int:
    """Print the path and the URL of the report page, and open it where there is a display; return the exit status."""
    options = parse(BY_NAME["report"], arguments)
    results = results_of(options)
    of_copy = results.root / "reports" / "report.html"  # in a dataset folder alone
    is_copy = files.is_file(of_copy) and not files.exists(results.dataset)
    page = Path(os.path.abspath(of_copy if is_copy else results.dataset / "reports" / "report.html"))
    if not files.is_file(page):
        say(f"run: {no_dataset(results, options, 'report')}")
        return 1
    if not is_copy:
        note_unless_sealed(results, "this report may be")
        say_what_changed(results)
    print(f"{page}\n{page.as_uri()}", flush=True)
    if options.has(NO_OPEN.name):
        return 0
    if not browser.opened(page.as_uri()):
        say("No browser was opened. On another machine: copy the folder reports/, and open report.html in it")
    return 0


def say_what_changed(results: Results) -> None:
    """Say what the last build changed. The page does not: its bytes depend on the data alone, not on history."""
    with contextlib.suppress(OSError, ValueError, LookupError, TypeError):  # the first build, or damaged
        differences = json_files.read_json(last_build.changes_file(results))
        say(f"The last build changed: {in_words(changes_in_short(differences))}")
