"""`./run explain`: how an array, or a mask, was made, from the provenance of the dataset."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from dicomzarr.commands import array_ids
from dicomzarr.commands.explain.facts import add_paths, explain
from dicomzarr.commands.explain.lines import lines_of
from dicomzarr.commands.files import WARNING
from dicomzarr.commands.launcher import json_output
from dicomzarr.commands.launcher.command_table import BY_NAME
from dicomzarr.commands.launcher.options import Options, folder_of_copy, no_dataset, parse, results_of
from dicomzarr.commands.launcher.processes import say
from dicomzarr.system import files
from dicomzarr.system.results_folder import Results
from dicomzarr.terminal.screen import Screen
from dicomzarr.vocabulary.errors import UserError

TABLE = "volumes.csv"


def run_explain(arguments: Sequence[str]) -> int:
    """Print how an array was made.

    Returns
    -------
    int
        0 if it is explained; 1 if there is no dataset.
    """
    options = parse(BY_NAME["explain"], arguments)
    if not options.positional:
        raise UserError(f"the array is missing: ./run explain ARRAY, an id of {TABLE}. See ./run explain --help")
    results, dataset = _places(options)
    if not files.is_file(dataset / TABLE):
        if options.has("--dataset"):
            say(
                f"run: no dataset in {options.last('--dataset')!r}: it has no {TABLE}. Give the folder with it, or the "
                "one that ./run publish wrote to"
            )
        else:
            say(f"run: {no_dataset(results, options, f'dataset/{TABLE}')}")
        return 1
    array, mask = array_ids.find(dataset, options.positional[0])
    found = explain(dataset, array, mask)
    if options.has("--private"):
        add_paths(found, results)
        say(WARNING)
    if not found["sealed"]:
        say("note: the last run did not finish, so a part of this may be of the one before it")
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # as in `./run explain … | head -3`
    if options.has("--json"):
        json_output.show(found)
    else:
        print("\n".join(lines_of(found, Screen.of(sys.stdout))), flush=True)
    return 0


def _places(options: Options) -> tuple[Results, Path]:
    """Return the results folder and the dataset; with --dataset, what it names.

    That is a dataset folder, a results folder, or one that ./run publish wrote to: then its latest version.
    """
    if not options.has("--dataset"):
        results = results_of(options)
        return results, results.dataset
    folder = folder_of_copy(options.last("--dataset"), "--dataset")
    if files.is_file(folder / TABLE) or not files.is_file(folder / "dataset" / TABLE):
        return Results(folder.parent), folder
    return Results(folder), folder / "dataset"
