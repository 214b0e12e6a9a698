"""The end of a run: what it made, what changed, what is not complete, and the next step, as text or as JSON."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dicomzarr.commands.launcher.processes import say
from dicomzarr.commands.run import last_build
from dicomzarr.system import files
from dicomzarr.system.results_folder import Results
from dicomzarr.terminal import stages
from dicomzarr.terminal.screen import Screen, counted, shown_path
from dicomzarr.vocabulary.errors import UserError
from dicomzarr.vocabulary.reasons import REVIEWED
from dicomzarr.vocabulary.rules import BATCH_RULES, DATASET_RULES, EXPORT_RULES, RULES

_SIGNALS = 128  # exit statuses above: ended by a signal
NOTHING_TO_DO = "Nothing to be done: the dataset is up to date"


class Conclusion:
    """Gathers the facts of a run after Snakemake has ended, then shows them.

    Parameters
    ----------
    results : Results or None
        None if the run ended before its results folder was known.
    run : mapping
        The facts that the view of the run wrote: `RunView.facts`.
    folder : Path
        The folder in which Snakemake ran.
    """

    def __init__(self, results: Results | None, run: Mapping[str, Any], folder: Path) -> None:
        self.results, self.folder = results, folder
        self.run = dict(run)
        self.dataset: dict[str, Any] = {}  # `summary.facts` of a sealed dataset
        self.differences: dict[str, Any] | None = None
        self.is_new_build = False
        self._has_lost_facts = False

    def gather(self) -> None:
        """Read the facts of a sealed dataset: kept ones if it is the last build, else from its tables."""
        if self.results is None or not last_build.seal_of(self.results.dataset):
            return
        from dicomzarr.commands import diff
        from dicomzarr.commands.run import summary

        try:
            if last_build.is_current(self.results):
                self.dataset = last_build.facts(self.results)
                self._has_lost_facts = not self.dataset
            else:
                self.is_new_build = True
                self.differences = last_build.compared(self.results)
            self.dataset = self.dataset or summary.facts(self.results.dataset)
        except (diff.NoDataset, OSError, ValueError, LookupError):
            self.dataset = {}  # another run has begun to change the dataset

    def note_failure(self, rule: str) -> None:
        """Note that a stage failed which is no job of Snakemake."""
        self.run["failed"] = [*self.run.get("failed", ()), {"rule": rule, "batch": "", "log": ""}]

    def keep(self) -> None:
        """After a successful run, make a new build the last one; of the same build, keep facts that were lost."""
        if self.results is not None and (self.is_new_build or self._has_lost_facts) and self.dataset:
            try:
                if self.is_new_build:
                    last_build.replace(self.results, self.differences, self.dataset)
                else:
                    last_build.keep_facts(self.results, self.dataset)
            except OSError as error:
                say(f"note: what changed could not be written to private/: {os.strerror(error.errno or 0)}")

    def show(self, status: int, arguments: Sequence[str], show_json: Callable[[dict[str, Any]], None] | None) -> None:
        """Print the facts: text to standard output, or with `show_json` one JSON object.

        Parameters
        ----------
        status : int
            Exit status of the run.
        arguments : sequence of str
            Arguments that name the configuration, for the next step.
        show_json : callable or None
            Gets the facts as JSON values, and prints them.
        """
        content = self.content(status, arguments)
        if show_json:
            show_json(content)
        elif self.results is not None:
            text = "\n".join(self.lines(content, Screen.of(sys.stdout if status == 0 else sys.stderr)))
            print(text, flush=True, file=sys.stdout if status == 0 else sys.stderr)

    def content(self, status: int, arguments: Sequence[str]) -> dict[str, Any]:
        """Return the facts of the run as JSON values; parameters as `show`."""
        from dicomzarr.commands.run import summary

        was_stopped = status > _SIGNALS or (status != 0 and not self.run)  # by a signal: jobs may be due
        incomplete = self._incomplete() if was_stopped or not self.dataset else []
        content: dict[str, Any] = {
            "status": status,
            "complete": bool(self.dataset) and not was_stopped,
            "nothing_to_do": status == 0 and not self.run.get("planned") and not self.run.get("stages"),
            "stages": list(self.run.get("stages", ())),
            "failed": list(self.run.get("failed", ())),
            "incomplete": incomplete,
            "changes": summary.changes_in_short(self.differences) if self.differences else None,
            "log": self._shown(self.run.get("log", "")),
            **self.dataset,
        }
        if self.results is not None:
            content["results"] = self._shown(self.results.root)
            if self.dataset:
                content["seal"] = last_build.seal_of(self.results.dataset)
                content["report"] = self._shown(self.results.dataset / "reports" / "report.html")
            content["exports"] = self._exports(self.results)
            content["text_undecided"] = _text_undecided(self.results, content)
        is_unknown = self.is_new_build and self.differences is None
        content["is_first_build"] = is_unknown and not self.run.get("was_sealed")
        content["next"] = _next_step(content, arguments)
        return content

    def _exports(self, results: Results) -> dict[str, str]:
        """Return the folders of the exports that this run brought up to date, by rule."""
        done = {stage["rule"] for stage in self.run.get("stages", ()) if not stage["failed"]} & {*EXPORT_RULES}
        if not done:
            return {}
        from dicomzarr.records import export_record

        kinds = [kind for kind in export_record.KINDS if kind.rule in done]
        return {kind.rule: self._shown(export_record.folder_of(results, kind)) for kind in kinds}

    def _shown(self, path: str | Path) -> str:
        """Return a path, which may be relative to the folder of the run, as a user would type it."""
        if not str(path):
            return ""
        return shown_path(os.path.join(self.folder, path))

    def _incomplete(self) -> list[dict[str, Any]]:
        """Return the stages that are not complete: rule, and of batches how many are."""
        results = self.results
        if results is None:
            return []
        failed = {job["rule"] for job in self.run.get("failed", ())}
        batches = _names_of_batches(results)
        found: list[dict[str, Any]] = []
        for rule in RULES:
            if rule.name in BATCH_RULES:
                done = sum(files.exists(results.records / rule.name / f"{name}.json") for name in batches or ())
                if found or batches is None or done < len(batches):
                    found.append({"rule": rule.name, "done": done, "of": len(batches or ())})
            elif rule.name in failed:
                if rule.sealed or rule.name in DATASET_RULES:
                    found.append({"rule": rule.name})
            elif rule.name in DATASET_RULES and (found or not files.exists(results.records / f"{rule.name}.json")):
                found.append({"rule": rule.name})
        return found

    def lines(self, content: Mapping[str, Any], screen: Screen) -> list[str]:
        """Return the facts as lines that fit a screen."""
        from dicomzarr.commands.run import summary

        if not content["complete"]:
            return self._lines_of_incomplete(content, screen)
        if content["nothing_to_do"]:
            changes = "nothing since the last build"
        elif content["changes"] is not None:
            changes = summary.in_words(content["changes"])
        elif content["is_first_build"]:
            changes = "the first build"
        elif self.is_new_build:
            changes = "not known, since no earlier ./run ended with 0"
        else:
            changes = "nothing since the last build"
        head = [NOTHING_TO_DO] if content["nothing_to_do"] else []
        if content["status"]:
            failed = ", ".join(dict.fromkeys(stages.name_of(job["rule"]) for job in content["failed"]))
            head.append(f"The dataset is complete{f', but this failed: {failed}' if failed else ''}")
        if not content["found"]:
            head.append("The source is empty: there is nothing to extract")
        elif not content["outcomes"]["extracted"]:
            head.append("No DICOM image was found in the source that can be extracted; the reasons are below")
        log = "" if content["nothing_to_do"] else content["log"]
        rows = [("changes", changes), ("report", content["report"])]
        rows += [("export", folder) for folder in content.get("exports", {}).values()]
        first, *others = content["next"].split("; ")
        rows += [("next step", first), *(("", step) for step in others), ("log", log)]
        table = summary.lines(content, screen, rows)
        return [*head, *table]

    def _lines_of_incomplete(self, content: Mapping[str, Any], screen: Screen) -> list[str]:
        missing = {stage["rule"]: stage for stage in content["incomplete"]}
        complete = [
            stages.name_of(rule.name) for rule in RULES if rule.name not in missing and self._has_record(rule.name)
        ]
        incomplete = [
            stages.name_of(rule)
            + (f" ({stage['done']:,} of {counted(stage['of'], 'batch', 'batches')} done)" if stage.get("of") else "")
            for rule, stage in missing.items()
        ]
        if self.dataset:
            complete = ["the dataset of the last build, which was not changed"]
        rows = (
            ("complete", ", ".join(complete) or "nothing"),
            ("not complete", ", ".join(incomplete) or "this run"),
            ("next step", content["next"]),
            ("log", content["log"]),
        )
        head = "The run is not complete" if content["status"] else "The run ended where it was told to"
        text = ["", head]
        for label, words in rows:
            text += screen.wrapped(label, words, 14) if words else []
        return [*text, ""]

    def _has_record(self, rule: str) -> bool:
        assert self.results is not None
        return rule in BATCH_RULES or files.exists(self.results.records / f"{rule}.json")


def _names_of_batches(results: Results) -> list[str] | None:
    """Return the names of the batches of the plan, None if there is no plan."""
    try:
        return list(json.loads((results.plans / "contents.json").read_bytes())["batches"])
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _next_step(content: Mapping[str, Any], arguments: Sequence[str]) -> str:
    """Return what to do next; `arguments` name the configuration."""
    end = f" {shlex.join(arguments)}" if arguments else ""
    status = content["status"]
    if status > _SIGNALS:
        return "start the same command again: it continues"
    if status and not content["complete"]:
        return "do what the lines above say, then start the same command again: it continues"
    if status:
        return "do what the lines above say; the dataset itself is complete"
    if not content["complete"]:
        return "start it without --until, and without the name of a rule, to build the rest"
    if not content.get("outcomes", {}).get("extracted"):
        return f"check `source` in the configuration; count what is there: ./run files{end}"
    steps = [f"open the report: ./run report{end}"]
    if content["outcomes"]["quarantined"]:
        steps.append(f"see what could not be used: ./run files --outcome quarantined{end}")
    waiting, faces = content.get("text_undecided"), content.get("faces_undecided")
    if waiting:
        steps.append(f"decide about {counted(waiting, 'image')} with text in the pixels: ./run review{end}")
    if faces:
        steps.append(
            f"decide whether {counted(faces, 'array')} that may show a face may stay: keys faces and faces_reason"
        )
    return "; ".join(steps)


def _text_undecided(results: Results, content: Mapping[str, Any]) -> int:
    """Return how many images wait for a decision of `./run review`; 0 also if the decisions cannot be read."""
    if not any(row["reason"] in REVIEWED for row in content.get("set_aside", ())):
        return 0
    from dicomzarr.review import read_results

    try:
        return read_results.undecided(results)
    except (UserError, OSError):
        return 0
