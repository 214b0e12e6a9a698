"""The main process of Snakemake: check the configuration, then prepare the results folder for the DAG."""

from __future__ import annotations

import contextlib
import difflib
import gc
import os
import re
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dicomzarr.privacy import configured_words, pseudonyms
from dicomzarr.publishing import stores
from dicomzarr.records import decisions, export_record, rule_record
from dicomzarr.records.revoke import Revocation, revoke
from dicomzarr.source import object_store
from dicomzarr.stages.join_labels.join import label_lines_path
from dicomzarr.system import files, limits, locks, private_folder, run_token, shared_files, shortage
from dicomzarr.system.project import ROOT
from dicomzarr.system.results_folder import Results
from dicomzarr.system.safe_messages import error_location, os_error_message
from dicomzarr.terminal import run_view
from dicomzarr.vocabulary.errors import ConfigProblem, UserError
from dicomzarr.vocabulary.rules import RULES
from dicomzarr.workflow import config_file, folders, prepare, remote_config, settings, shown_config, status
from dicomzarr.workflow.snakemake_quirks import (
    assumed_files,
    command_line,
    damaged_metadata,
    ending,
    forked_jobs,
    keyed_checksums,
    known_inputs,
    module_readings,
    one_timer,
    other_nodes,
    planned_jobs,
    tested_versions,
    until,
)
from dicomzarr.workflow.snakemake_quirks.command_line import Purpose
from dicomzarr.workflow.snakemake_quirks.main_or_module import Use, use_of

# Settings of profiles/default without which the same command cannot recover an interrupted run.
NEEDED = ("rerun_incomplete", "nolock", "keep_going")
_noted: list[bool] = []  # notes are printed once, however often another workflow reads the Snakefile


@contextlib.contextmanager
def errors_in_one_line() -> Iterator[None]:
    """End the process with one line on an error: a traceback would show lines of the Snakefile, and perhaps a path."""
    try:
        yield
    except UserError as error:
        _end(config_file.with_line(error, sys.argv[1:]), 2 if isinstance(error, ConfigProblem) else 1)
    except OSError as error:  # the disk of `.snakemake/` is full
        text = shortage.described(error) or f"{os_error_message(error)} ({error_location(error)})"
        _end(f"{text}; run the same command again once that is mended")
    except Exception as error:  # its text could hold a path of the source
        if lacking := shortage.described(error):
            _end(lacking)
        _end(f"internal error, {error_location(error)}; please open an issue with this line")


def _end(text: str, status: int = 1) -> None:
    """End the process; 2 means that the configuration is wrong, 1 that a run cannot be completed as it is."""
    print(f"Error: {text}", file=sys.stderr, flush=True)
    raise SystemExit(status)


@dataclass(frozen=True, slots=True)
class Start:
    """The workflow as it was started.

    Attributes
    ----------
    purpose : Purpose
        `OTHER` also in the processes of jobs, which parse the same files.
    config : dict
        The configuration with its defaults; without `source`, `object_store`, `dicomweb`, `publish`, the paths of label
        files and the patterns of names of masks, unless another Snakefile includes this one and shares it: scripts of
        jobs hold a copy of it.
    settings : Settings or None
        The checked configuration; None in jobs and for commands that build no DAG.
    parsed : mapping
        The parsed options of the command line.
    publish : mapping
        The config key of this name.
    has_groups : bool
        Whether jobs run on other nodes, so that several of them start as one. Groups of a dry run would only cost
        time: each job that is ready is compared with all others.
    has_objects : bool
        Whether a source is object storage.
    """

    purpose: Purpose
    config: dict[str, Any]
    settings: settings.Settings | None
    parsed: Mapping[str, Any]
    publish: Mapping[str, Any]
    has_groups: bool = False
    has_objects: bool = False


def start(workflow: Any, config: Mapping[str, Any], arguments: Sequence[str]) -> Start:
    """Add the defaults to the configuration and check it.

    Parameters
    ----------
    workflow : snakemake.workflow.Workflow
    config : mapping
        The configuration from config files, the command line or the `module` statement.
    arguments : sequence of str
        The command line.

    Returns
    -------
    Start
        The complete configuration, and what the command line asks for.
    """
    limits.dump_no_core()
    ending.end_on_signals(workflow)
    if workflow.is_main_process:
        run_token.forget()
        if not workflow.local_exec:
            shared_files.expect_other_nodes()
        until.honour_until(workflow)
    used_as = use_of(workflow, ROOT / "Snakefile")
    with errors_in_one_line():
        with_defaults = settings.with_defaults(config)
    if not workflow.is_main_process:
        _join_run(workflow, Path(with_defaults["results"]) / "private")
    parsed = command_line.options(arguments) if workflow.is_main_process else {}
    purpose = command_line.purpose(parsed) if workflow.is_main_process else Purpose.OTHER
    checked = None
    with errors_in_one_line():
        command_line.refuse_unusable(parsed)
        if workflow.is_main_process and used_as is Use.MAIN:
            config_file.refuse_repeated(arguments)
        if purpose is Purpose.BUILD:
            _prepare_other_nodes(workflow, parsed, with_defaults, is_module=used_as is Use.MODULE)
            folders.clear_paths_of_snakemake()
        if purpose is not Purpose.OTHER:
            checked = _checked(with_defaults, parsed, used_as, purpose)
    if purpose is not Purpose.OTHER:
        damaged_metadata.take_damaged_for_missing()
        _note_once(parsed)
    if purpose is Purpose.BUILD and used_as is Use.MAIN:
        _save_time(workflow, checked)
    has_objects, publish = "s3://" in str(with_defaults.get("source")), with_defaults["publish"]
    if used_as is not Use.INCLUDED:
        with_defaults = without_patterns(without_places(with_defaults))
    has_groups = not workflow.is_main_process or purpose is Purpose.BUILD and bool(other_nodes.executor_of(parsed))
    return Start(purpose, with_defaults, checked, parsed, publish, has_groups, has_objects)


def _checked(config: Mapping[str, Any], parsed: Mapping[str, Any], used_as: Use, purpose: Purpose) -> settings.Settings:
    """Return the checked configuration; refuse it, the options and the decisions before any job if they are wrong."""
    # A Snakefile that includes this one has config keys of its own.
    checked = settings.check(settings.known_keys(config) if used_as is Use.INCLUDED else config)
    command_line.refuse_names(parsed, checked.sources.values())
    results = Results(checked.results)
    private_folder.refuse_special_files(results.private, only_kept=purpose is Purpose.BUILD)
    _check_results(results)
    return checked


def _note_once(parsed: Mapping[str, Any]) -> None:
    """Print notes on the version of Snakemake and its settings, once a process."""
    if not _noted:
        _noted.append(True)
        tested_versions.note_if_untested()
        _note_missing_settings(parsed)


def _save_time(workflow: Any, checked: settings.Settings | None) -> None:
    """Let Snakemake, and this process, do less; start the process that forks jobs if there will be jobs for certain."""
    forked_jobs.fork_jobs(workflow)
    known_inputs.ask_once()
    one_timer.keep_one_timer()
    gc.freeze()  # what is imported stays
    gc.set_threshold(50_000, 20, 100)  # as in jobs: lists of a million rows are not looked at again and again
    if checked and not files.exists(Results(checked.results).sealed):
        forked_jobs.expect_jobs()


def _check_results(results: Results) -> None:
    """Refuse a dataset that cannot be looked at, and a wrong table of decisions, before any job."""
    try:
        files.exists(results.sealed)
        decisions.read(decisions.path_in(results.private))
    except OSError as error:
        raise prepare.unusable(error, results) from None


def decisions_digest(private: Path) -> str:
    """Return a keyed digest of the decisions about text in pixels; empty if there are none, or no key yet.

    Snakemake notes it as a param. The table has plain digests of source files: whoever has such a file could tell from
    a plain digest of the table what was decided about it.

    Parameters
    ----------
    private : Path
        The private folder of the results.

    Returns
    -------
    str
    """
    try:
        return pseudonyms.load(private).digest("decisions", decisions.path_in(private).read_bytes())
    except (OSError, pseudonyms.KeyProblem):
        return ""


def without_places(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration without paths and URLs, but that of the results."""
    kept = {key: config[key] for key in config if key not in ("source", "object_store", "dicomweb", "publish")}
    kept["labels"] = shown_config.label_sources(config)
    if "fixed" in config["splits"]:
        kept["splits"] = {**config["splits"], "fixed": dict.fromkeys(config["splits"]["fixed"], "")}
    return kept


def without_patterns(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration without the patterns of names of masks, which may repeat labels of the source."""
    names = config["masks"].get("names", {})
    return {**config, "masks": {**config["masks"], "names": {name: [] for name in names}} if names else config["masks"]}


def _prepare_other_nodes(
    workflow: Any, parsed: Mapping[str, Any], config: Mapping[str, Any], *, is_module: bool
) -> None:
    """Before jobs go to other nodes: refuse what would show values of the site, and limit threads."""
    executor = other_nodes.executor_of(parsed)
    remote_config.refuse_private_values(workflow.config_settings.config, config, executor, is_module=is_module)
    remote_config.refuse_key_in_commands(parsed.get("envvars"), executor)
    other_nodes.refuse_unreachable_slurm(workflow, parsed, executor)
    other_nodes.limit_threads_to_nodes(workflow, executor)
    if executor and not _noted:
        other_nodes.say_why_groups_fail()


def _join_run(workflow: Any, private: Path) -> None:
    """End the process of a job unless its run is the current one."""
    other_nodes.leave_outputs_to_main_process(workflow)
    if getattr(workflow, "remote_exec", False):
        shared_files.expect_other_nodes()
    try:
        locks.lock_job(private)
        run_token.check(private, run_token.LATENCY)
        with contextlib.suppress(pseudonyms.KeyProblem):  # a job that needs the key says so
            keyed_checksums.key_checksums(private, pseudonyms.load(private))
    except UserError as error:
        _end(str(error))
    except OSError as error:
        _end(os_error_message(error))


def _note_missing_settings(parsed: Mapping[str, Any]) -> None:
    missing = [name.replace("_", "-") for name in NEEDED if parsed and not parsed.get(name)]
    if missing:
        print(
            "note: this Snakemake profile lacks settings that are needed to continue an interrupted run: "
            + ", ".join(missing),
            file=sys.stderr,
        )


def finish(workflow: Any, started: Start, rules: Any) -> None:
    """Prepare the results folder for the DAG; for a dry run, only assume the files that a run would write.

    Parameters
    ----------
    workflow : snakemake.workflow.Workflow
    started : Start
        What `start` returned.
    rules : snakemake.common.Rules
        The rules of this workflow, by their names in this Snakefile even if it is used as a module.
    """
    module_readings.know_checkpoint(workflow, rules, "plan_batches")
    used_as, folder = use_of(workflow, ROOT / "Snakefile"), Path.cwd()
    if started.settings is None:
        if used_as is Use.MAIN and started.parsed.get("report"):
            with errors_in_one_line():
                _refuse_report_of_nothing(started.config)
        return

    def prepare() -> None:
        with errors_in_one_line():
            if used_as is Use.MAIN:
                _refuse_unknown_rules(started.parsed, [rule.name for rule in workflow.rules])
                _refuse_unknown_files(started, workflow.rules)
            else:
                _refuse_other_places(started.config["results"], rules, folder)
            _prepare(workflow, started, rules)

    if used_as is Use.MAIN:
        prepare()
    else:
        with errors_in_one_line():
            given = (started.settings, started.config)
            module_readings.prepare_after_reading(workflow, started.settings.results, given, prepare)


def _refuse_report_of_nothing(config: Mapping[str, Any]) -> None:
    """Refuse `--report` without what only a run writes; Snakemake would name a file of `private/` that is missing."""
    results = Results(Path(config["results"]))
    is_joined = bool(config["labels"] or config["splits"].get("fixed"))
    if not files.exists(results.sealed) or is_joined and not files.exists(label_lines_path(results)):
        raise UserError(
            f"--report: there is no finished dataset of this configuration in {str(results.root)!r}; start a run, then "
            "this command again"
        )


def _refuse_touch_of_nothing(started: Start) -> None:
    """Refuse `--touch` where no run has planned batches: Snakemake would end with a traceback about the plan."""
    assert started.settings is not None
    is_touch = started.parsed.get("touch") or started.parsed.get("executor") == "touch"
    if is_touch and not files.exists(Results(started.settings.results).plans / "contents.json"):
        raise UserError(
            f"--touch: no run has got as far as a plan in {str(started.settings.results)!r}, so there is nothing to "
            "touch; start a run"
        )


def _refuse_other_places(results: str, rules: Any, folder: Path) -> None:
    """Refuse what another workflow does with paths of this one, whose scripts and records know `results` alone."""
    if Path.cwd() != folder:
        raise UserError(
            "the statement workdir: comes after this workflow is read, whose paths are those of the folder before; put "
            "it first"
        )
    outputs = [str(path) for rule in RULES if hasattr(rules, rule.name) for path in getattr(rules, rule.name).output]
    if moved := next((path for path in outputs if not Path(path).is_relative_to(results)), ""):
        raise UserError(
            f"the results would be in two places: the configuration says {results!r}, and a rule writes {moved!r}. A "
            "module with prefix:, replace_prefix:, pathvars: or rules with other outputs cannot be used; remove that, "
            "and write the place as results: into its config:"
        )


def _prepare(workflow: Any, started: Start, rules: Any) -> None:
    assert started.settings is not None
    names = [rule.name for rule in RULES if hasattr(rules, rule.name)]
    params = {name: rule_record.digests_of(getattr(rules, name).rule.params.items()) for name in names}
    targets = {*map(str, started.parsed.get("targets") or ())}
    requested_exports = export_record.requested_kinds([*targets, *sys.argv[1:]])
    requested_rules = {kind.rule for kind in requested_exports} | (targets & {"publish"})
    settings.check_exports(started.config["nnunet"], started.publish, requested_rules)
    later_rules = requested_rules | (targets & {"check_gate"})
    if started.purpose is Purpose.BUILD:
        _refuse_touch_of_nothing(started)
        if "publish" in targets:  # before hours of work, not after
            folders, in_buckets = object_store.split_roots(started.settings.sources.values())
            stores.check(started.publish, os.environ, [started.settings.results, *folders], in_buckets)
        shown = without_places(started.config)
        words = [*configured_words.texts_in(shown), *configured_words.numbers_in(shown)]
        configured_words.remember(Path(".snakemake"), words)
        _prepare_run(started.settings, requested_exports, params, later_rules)
    else:
        _prepare_dry_run(workflow, started, requested_exports, params, later_rules)


def _refuse_unknown_rules(parsed: Mapping[str, Any], known: Sequence[str]) -> None:
    """Refuse what looks like the name of a rule and is neither one nor a file; Snakemake would not name the closest.

    `known` are the rules so far: those of the Snakefile itself follow.
    """
    text = (ROOT / "Snakefile").read_text(encoding="utf-8")
    known = [*known, *re.findall(r"^rule (\w+):", text, re.MULTILINE)]
    for option in ("targets", "until", "omit_from", "forcerun", "allowed_rules"):
        for name in map(str, parsed.get(option) or ()):
            if re.fullmatch(r"[A-Za-z][\w-]*", name) and name not in known and not os.path.lexists(name):
                near = difflib.get_close_matches(name, known, 1)
                raise UserError(f"there is no rule {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))


def _refuse_unknown_files(started: Start, rules: Iterable[Any]) -> None:
    """Refuse a file that no rule writes, before there is a results folder; Snakemake would find that out after it."""
    for target in map(str, started.parsed.get("targets") or ()):
        name = os.path.relpath(target) if os.path.isabs(target) else os.path.normpath(target)
        known = [each for each in (target, name) if any(rule.is_producer(each) for rule in rules)]
        if "/" in target and target not in known:
            hint = f"; write {known[0]!r}" if known else "; name a rule, or a file that a rule writes into the results"
            raise UserError(f"no rule writes {target!r}{hint}")


def _records_to_revoke(
    preparation: prepare.Preparation, params: Mapping[str, Mapping[str, str]]
) -> dict[Path, Revocation]:
    changed = dict.fromkeys(preparation.claims.with_other_params(params), Revocation.PARAMS_CHANGED)
    return {**changed, **preparation.revoked}


def _prepare_run(
    checked: settings.Settings,
    exports: Sequence[export_record.Kind],
    params: Mapping[str, Mapping[str, str]],
    later_rules: Collection[str],
) -> None:
    prepare.refuse_first_run(checked)
    results = prepare.acquire(checked)
    keyed_checksums.key_checksums(results.private, pseudonyms.load(results.private))
    preparation = prepare.compare(checked, exports, asks=True)
    revoked = _records_to_revoke(preparation, params)
    was_sealed = files.exists(results.sealed)
    status.say_why(results, revoked)
    if prepare.carry_out(preparation, revoked) or revoked:
        forked_jobs.expect_jobs()
    for record in prepare.later_records(results, later_rules, is_current=prepare.is_complete(results)):
        revoke(results, record, Revocation.INPUT_CHANGED)
    sizes = [row[2] for row in preparation.rows if row[1] == "file"]
    run_view.start(results, len(sizes), sum(sizes), was_sealed=was_sealed)
    status.report_results_folder(results)


def _prepare_dry_run(
    workflow: Any,
    started: Start,
    exports: Sequence[export_record.Kind],
    params: Mapping[str, Mapping[str, str]],
    later_rules: Collection[str],
) -> None:
    assert started.settings is not None
    results = Results(started.settings.results)
    if started.parsed.get("dryrun"):
        prepare.refuse_active_run(results)
    if prepare.check_key(results):
        keyed_checksums.key_checksums(results.private, pseudonyms.load(results.private))
    preparation = prepare.compare(started.settings, exports)
    revoked = _records_to_revoke(preparation, params)
    written = {path: (state.size, state.sha256) for path, state in preparation.state_files().items()}
    is_current = not written and prepare.is_complete(results, revoked)
    later = prepare.later_records(results, later_rules, is_current=is_current)
    revoked = {**dict.fromkeys(later, Revocation.INPUT_CHANGED), **revoked}
    if status.is_requested():
        status.report_results_folder(results)
        status.report(preparation, revoked, exports)
        planned_jobs.report_planned_jobs(workflow, Path(os.environ[status.STATUS]))
    assumed_files.keep_notes_elsewhere()
    assumed_files.assume_files(workflow, revoked, written)
