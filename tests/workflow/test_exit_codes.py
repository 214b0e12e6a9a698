"""The exit codes of docs/commands.md, each by a real call; test_looking.py has those of status, verify and diff."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from conftest import ROOT, Launch, Workflow
from dicoms import save_series
from waiting import HANG, wait_until

from dicomzarr.commands.launcher.json_forms import FORMS


def listing(folder: Path) -> list[tuple[str, int]]:
    return sorted((str(path), path.stat().st_mtime_ns) for path in folder.rglob("*"))


def test_exit_codes_of_runs_and_of_words_that_look(workflow: Workflow, launch: Launch) -> None:
    """In the order in which a user would meet them."""
    paths = save_series(workflow.source, "alpha", 3)
    paths[0].write_bytes(paths[0].read_bytes()[:-10])
    steps: list[tuple[str, tuple[str, ...], dict[str, Any], int, str]] = [
        ("", (), {"compression": "gzip"}, 2, "Error: config.yaml, line 3: config key 'compression': found 'gzip'"),
        ("", ("--until", "extract"), {}, 1, "Error: there is no rule 'extract'; did you mean 'extract_batch'?"),
        ("index_header", (), {}, 2, "run: there is no command or rule 'index_header'; the closest is 'index_headers'"),
        ("status", ("--jsn",), {}, 1, "run: Snakemake has no option '--jsn'; the closest is '--json'"),
        ("files", (), {}, 1, "run: there is no folder 'results' yet"),
        ("report", (), {}, 1, "run: there is no folder 'results' yet"),
        ("status", (), {}, 2, "first run: 3 entries in the source"),
        ("--json", (), {}, 0, '"complete": true'),
        ("all", (), {"gate": {"quarantined": 0}}, 1, "gate.quarantined: found 1, allowed 0"),
    ]
    for word, arguments, config, status, says in steps:
        workflow.write_config(**config)
        done = launch(workflow, word, *arguments)
        assert (done.returncode, says in done.stdout + done.stderr) == (status, True), (word, config, done.stderr)
        assert workflow.results.exists() == (word == "--json" or "gate" in config), word
        if word == "--json":
            assert {*json.loads(done.stdout)} == {re.split(r"[.\[]", name)[0] for name, _ in FORMS[""]}
    before = listing(workflow.results)
    for arguments, says in (
        (("files", "--reason", "truncated_pixel_data"), f"{paths[0].relative_to(workflow.source)}\n"),
        (("files", "--reason", "truncated_pixel_data", "--full"), f"{paths[0]}\n"),
        (("report", "--no-open"), f"{workflow.results}/dataset/reports/report.html\n"),
    ):
        done = launch(workflow, *arguments)
        assert done.returncode == 0 and done.stdout.startswith(says), done.stderr
    _, row = (workflow.results / "dataset/volumes.csv").read_text().splitlines()
    done = launch(workflow, "files", "--array", row.split(",")[0])
    assert sorted(done.stdout.splitlines()) == sorted(str(path.relative_to(workflow.source)) for path in paths[1:])
    assert listing(workflow.results) == before


def test_sigterm_to_the_launcher_ends_the_run(workflow: Workflow, environment: Path) -> None:
    save_series(workflow.source, "alpha", 3)
    workflow.write_config()
    with subprocess.Popen(
        [sys.executable, str(ROOT / "run"), "--cores", "1", "--configfile", "config.yaml"],
        cwd=workflow.folder,
        env={**os.environ, **workflow.environment, "DICOMZARR_VENV": str(environment)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as running:
        wait_until(lambda: running.poll() is not None or (workflow.results / "private/run.json").exists())
        running.terminate()
        assert running.wait(timeout=HANG) == 143
