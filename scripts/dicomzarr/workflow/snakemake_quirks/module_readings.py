"""Several readings of the Snakefile by another workflow: its checkpoints, and one preparation for all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from dicomzarr.vocabulary.errors import UserError
from dicomzarr.workflow.snakemake_quirks.tested_versions import is_tested

# By results folder: what decides the preparation, and the preparation itself.
_waiting: dict[Path, tuple[object, Callable[[], None]]] = {}


def know_checkpoint(workflow: Any, rules: Any, name: str) -> None:
    """Let rules that another workflow replaces know a checkpoint of their module.

    Purpose: `use rule extract_batch from dicomzarr with: …` reads the Snakefile for this rule alone, with an empty
    namespace of checkpoints, in which its input functions look for `plan_batches`.

    Tested with 9.27.1: `CheckpointsProxy.register`, and `rules`, which all readings of a module share. With another
    version nothing changes: Snakemake says that there is no such checkpoint.
    """
    checkpoints, rule = workflow.globals.get("checkpoints"), getattr(getattr(rules, name, None), "rule", None)
    if is_tested() and rule is not None and not hasattr(checkpoints, name):
        checkpoints.register(rule, name)


def prepare_after_reading(workflow: Any, results: Path, given: object, prepare: Callable[[], None]) -> None:
    """Call a function before the DAG is built; of several for the same results, the last one alone.

    Purpose: each `use rule … from …` of another workflow reads the Snakefile of the module again, in the same process:
    `use rule * from dicomzarr`, then `use rule extract_batch from dicomzarr with: …`. Only the last reading has the
    params of all rules, and only one can lock the results. Settings of the other workflow that come later (`workdir:`,
    `pathvars:`) are known by then, too.

    Parameters
    ----------
    workflow : snakemake.workflow.Workflow
        Tested with 9.27.1, which calls `_prepare_dag` once it has read the Snakefile. Without that method, `prepare` is
        called at once.
    results : Path
        The results folder.
    given : object
        What decides the preparation: equal for each reading of the same module.
    prepare : callable
        Of no arguments. It may wrap `_prepare_dag` itself.

    Raises
    ------
    UserError
        If two modules have the same results folder and other configurations.
    """
    build = getattr(workflow, "_prepare_dag", None)
    if build is None:
        prepare()
        return
    place, is_first = results.absolute(), not _waiting
    if _waiting.setdefault(place, (given, prepare))[0] != given:
        raise UserError(
            "config key 'results': two modules have the same folder, and other configurations; give each a folder of "
            "its own"
        )
    _waiting[place] = (given, prepare)
    if not is_first:
        return

    def prepare_and_build(*arguments: Any, **options: Any) -> Any:
        workflow._prepare_dag = build
        for _, waiting in _waiting.values():
            waiting()
        return workflow._prepare_dag(*arguments, **options)

    workflow._prepare_dag = prepare_and_build
