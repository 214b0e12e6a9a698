"""`--until` and `--omit-from` for rules after the checkpoint."""

from __future__ import annotations

import sys
from typing import Any

from dicomzarr.vocabulary.errors import UserError
from dicomzarr.vocabulary.rules import DATASET_RULES, RULES, rules_before

# Rules after the checkpoint, and the target rules with all of their jobs.
BATCH_TARGETS = {"extract_batch": "all_extracted", "check_batch": "all_checked"}
# Rules whose jobs read all batches. With one of them as the only target, Snakemake would make no record of a batch
# again that is missing, since what was made from it exists; so the target rule of the batches is a target too.
_LATER_RULES = frozenset(DATASET_RULES) - {*rules_before("check_batch")}

_DEFAULT_TARGETS = ("all", "default_target")
# Rules before the checkpoint; `--omit-from` is possible for these alone.
_BEFORE_BATCHES = ("discover_files", "index_headers", "plan_batches")


def honour_until(workflow: Any) -> None:
    """Make `--until` and `--omit-from` (`-U`, `-O`) work for rules after the checkpoint.

    Snakemake looks for these rules among the jobs of the first DAG. The batches are known only after the checkpoint
    `plan_batches`: Snakemake would do nothing, or stop there, and exit with 0. So `--until` with a rule of batches is
    replaced by a target rule for the same jobs, and `--omit-from` with a rule after the checkpoint is refused with
    exit code 1.

    Parameters
    ----------
    workflow : snakemake.workflow.Workflow
        Snakemake sets its `dag_settings` after reading the Snakefile, then calls `_prepare_dag`: tested with 9.27.1.
        Without such a method, nothing is changed.
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
    """Replace `--until` with rules of batches by target rules, and with later rules by these and all batches.

    A later rule that is named as a target gets all batches in front of it, too.

    Raises
    ------
    UserError
        If the options cannot be honoured; the message names others that can.
    """
    dag: Any = getattr(workflow, "dag_settings", None)
    if not all(hasattr(dag, name) for name in ("until", "omit_from", "targets")):
        return
    ours = {rule.name for rule in RULES} | {
        *BATCH_TARGETS.values(),
        "all",
    }  # not those of a workflow that uses this one
    if omitted := sorted(set(dag.omit_from) & ours - {*_BEFORE_BATCHES}):
        raise UserError(
            f"--omit-from {omitted[0]}: not possible here, since Snakemake knows the batches only after plan_batches "
            "has run; name the last rule instead, such as: --until extract_batch"
        )
    batches = BATCH_TARGETS["check_batch"]
    later = _LATER_RULES if any(rule.name == batches for rule in workflow.rules) else frozenset[str]()
    if not dag.until and later & {*map(str, dag.targets)}:
        dag.targets = {*dag.targets, batches}
    has_later = bool(later & set(dag.until)) and set(dag.targets) <= {*_DEFAULT_TARGETS}
    if not has_later and not set(dag.until) & BATCH_TARGETS.keys():
        return
    if not set(dag.targets) <= {*_DEFAULT_TARGETS}:
        batch = sorted(set(dag.until) & BATCH_TARGETS.keys())[0]
        raise UserError(
            f"--until {batch}: not possible together with targets; leave the targets out, or use the target "
            f"{BATCH_TARGETS[batch]} alone"
        )
    dag.targets = {BATCH_TARGETS.get(name, name) for name in dag.until} | ({batches} if has_later else set())
    dag.until = set()
