"""`--until` and `--omit-from` for rules whose jobs are known once the checkpoint has run."""

from __future__ import annotations

import sys
from typing import Any

from dicomzarr.vocabulary.errors import UserError

# Rules whose jobs are known once the checkpoint has run, and the target rules that ask for all of them.
BATCH_TARGETS = {"extract_batch": "all_extracted", "check_batch": "all_checked"}


_DEFAULT_TARGETS = ("all", "default_target")


# What may be left out together with all that comes after it: those before the checkpoint.
_BEFORE_BATCHES = ("discover_files", "index_headers", "plan_batches")


def honour_until(workflow: Any) -> None:
    """Let `--until` and `--omit-from` (`-U`, `-O`) mean what they say for what comes after the checkpoint.

    Snakemake looks for the rules they name among the jobs it knows at the start. Which batches there are is known once
    the checkpoint `plan_batches` has run: it would do nothing, or stop there, and exit with 0. So `--until` with a rule
    of batches becomes a target, which asks for the same jobs; `--omit-from` with a rule after the checkpoint is
    refused, with an exit code of 1.

    Parameters
    ----------
    workflow : snakemake.workflow.Workflow
        Snakemake sets its `dag_settings` after the Snakefile is read, and calls `_prepare_dag` then: tried with 9.27.1.
        A version that has no such method does as it does.
    """
    prepare = getattr(workflow, "_prepare_dag", None)
    if prepare is None:
        return

    def prepare_dag(*arguments: Any, **options: Any) -> Any:
        try:
            replace_until(workflow)
        except UserError as error:
            print(f"Error: {error}", file=sys.stderr, flush=True)
            raise SystemExit(1) from None
        return prepare(*arguments, **options)

    workflow._prepare_dag = prepare_dag


def replace_until(workflow: Any) -> None:
    """Replace `--until` with rules of batches by targets.

    Raises
    ------
    UserError
        If what is asked for cannot be done; it says what to write.
    """
    dag: Any = getattr(workflow, "dag_settings", None)
    if not all(hasattr(dag, name) for name in ("until", "omit_from", "targets")):
        return
    known = {rule.name for rule in workflow.rules}
    if omitted := sorted(set(dag.omit_from) & known - {*_BEFORE_BATCHES}):
        raise UserError(
            f"--omit-from {omitted[0]}: not possible here, since Snakemake knows the batches only once plan_batches "
            "has run; say where to stop instead, such as: --until extract_batch"
        )
    if not set(dag.until) & BATCH_TARGETS.keys():
        return
    if not set(dag.targets) <= {*_DEFAULT_TARGETS}:
        batch = sorted(set(dag.until) & BATCH_TARGETS.keys())[0]
        raise UserError(
            f"--until {batch}: not possible together with targets; leave those out, or name the target "
            f"{BATCH_TARGETS[batch]} alone"
        )
    dag.targets = {BATCH_TARGETS.get(name, name) for name in dag.until}
    dag.until = set()
