"""The templates for rebuilds: their commands, in order, in clean clones; and the script that they call, by itself."""

from __future__ import annotations

import hmac
import json
import os
import re
import shutil
import stat
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
import zarr
from conftest import ROOT
from dicoms import save_series, slice_pixels, uid
from s3_servers import BUCKET, VARIABLES, moto

from dicomzarr.dataset import open_dataset

TEMPLATES = ROOT / "templates"
KEY, TOKEN = "k" * 32, "token-of-the-test"
PASSPHRASE = "a passphrase of the test" if shutil.which("gpg") else ""
needs_gpg = pytest.mark.skipif(not PASSPHRASE, reason="no gpg")
BEFORE, NEW = ("alpha", "beta"), ("gamma", "delta")  # series
NO_CHANGES: dict[str, Any] = {"added": [], "grown": {}, "changed": {}, "retired": [], "rewritten": 0}


def series_id(series: str) -> str:
    """Return the id of a made-up series, computed as docs/outputs.md says."""

    def keyed(domain: str, value: str) -> str:
        return hmac.new(KEY.encode(), f"{domain}\0{value}".encode(), "sha256").hexdigest()[:16]

    return keyed("series", keyed("subject", f"\0patient-{series}") + "\0" + uid("series", series))


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@localhost", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def clean_clone(folder: Path) -> Path:
    """Write what a clone of the project would hold if all was committed: no environment, no caches, no results."""
    names = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


# ---- The templates as files


def github_workflow(path: Path) -> dict[str, Any]:
    workflow: dict[Any, Any] = yaml.safe_load(path.read_text())
    workflow["on"] = workflow.pop(True)  # YAML 1.1 reads the key `on` so
    return workflow


@pytest.mark.parametrize("path", [TEMPLATES / "github.yml", *ROOT.glob(".github/workflows/*")], ids=lambda p: p.name)
def test_github_workflows_have_known_keys_pinned_actions_and_few_rights(path: Path) -> None:
    workflow = github_workflow(path)
    assert set(workflow) <= {"name", "on", "permissions", "concurrency", "jobs"}
    assert set(workflow["on"]) <= {"push", "pull_request", "schedule", "workflow_dispatch"}
    rights = {"contents": "write"} if path.parent == TEMPLATES else {"contents": "read"}
    assert workflow["permissions"] == rights  # no job asks for more: see its keys
    for job in workflow["jobs"].values():
        assert set(job) <= {"runs-on", "timeout-minutes", "steps", "strategy"}
        for step in job["steps"]:
            assert set(step) <= {"name", "uses", "with", "run", "env", "if"} and ("uses" in step) != ("run" in step)
    used = re.findall(r"uses: (.*)", path.read_text())
    assert used and all(re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line) for line in used)


def test_the_project_is_checked_as_by_ci_run() -> None:
    jobs = github_workflow(ROOT / ".github/workflows/ci.yml")["jobs"]
    commands = {name: [step["run"] for step in job["steps"] if "run" in step] for name, job in jobs.items()}
    assert commands["check"] == [".ci/run"] and "docker build --file Containerfile" in commands["image"][0]
    assert os.access(ROOT / ".ci/run", os.X_OK)


def test_artifacts_are_the_reports_alone_and_no_cache_is_used() -> None:
    gitlab = yaml.safe_load((TEMPLATES / "gitlab-ci.yml").read_text())
    assert gitlab.keys() == {"stages", "rebuild"} and "cache" not in gitlab["rebuild"]
    assert gitlab["rebuild"]["artifacts"]["paths"] == ["rebuild/"]
    assert gitlab["rebuild"]["artifacts"]["access"] == "developer"
    (job,) = github_workflow(TEMPLATES / "github.yml")["jobs"].values()
    assert [step["with"]["path"] for step in job["steps"] if "artifact" in step.get("uses", "")] == ["rebuild/"]
    assert job["runs-on"][0] == "self-hosted"


def test_each_template_says_that_the_state_identifies_patients() -> None:
    for path in TEMPLATES.iterdir():
        text = " ".join(path.read_text().replace("#", " ").split()).lower()
        assert re.search(r"results/private (and state )?identif(y|ies) patients", text), path
        assert "private" in text and ("rebuild.sh" in text or path.name == "rebuild.sh")


def test_the_workflow_catalog_finds_what_its_settings_say() -> None:
    settings = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())
    assert set(settings["usage"]) == {"mandatory-flags", "software-stack-deployment", "report"}
    assert settings["usage"]["mandatory-flags"]["flags"] in (ROOT / "config/README.md").read_text()
    readme = (ROOT / "README.md").read_text().lower()
    assert "snakemake" in readme and "workflow" in readme and (ROOT / "Snakefile").is_file()
    assert {path.suffix for path in (ROOT / "rules").iterdir()} == {".smk"}
    assert not (ROOT / "workflow").exists()  # the page says that it is not listed under standardized usage


def test_the_script_passes_shellcheck() -> None:
    if not shutil.which("shellcheck"):
        pytest.skip("no shellcheck")
    subprocess.run(["shellcheck", str(TEMPLATES / "rebuild.sh")], check=True)


# ---- Three rebuilds, one with each template


@dataclass
class Runner:
    """A machine that has only what a template checks out, and what its settings name."""

    folder: Path
    environment: Mapping[str, str]

    def run(self, command: str, **settings: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", command],
            cwd=self.folder,
            env={**self.environment, **settings},
            capture_output=True,
            text=True,
            check=False,
        )


def commands_of_cron(folder: Path, project: Path) -> tuple[str, dict[str, str]]:
    """Return the command of the crontab and the settings above it."""
    lines = [line for line in (TEMPLATES / "crontab").read_text().splitlines() if line and line[0] != "#"]
    settings = dict(line.split("=", 1) for line in lines[:-1])
    match = re.fullmatch(r"\d+ \d+ \* \* \* (.*)", lines[-1])
    assert match and "%" not in lines[-1]  # cron would read it as the end of the line
    return match[1].replace("/FOLDER", str(folder)).replace("/DICOMZARR", str(project)), settings


def with_options(path: Path) -> str:
    """Return a template in which the settings that are comments are in force."""
    text = re.sub(r"^( +)# ((STATE|SIGN|PUBLISH|AWS)\w*: )", r"\1\2", path.read_text(), flags=re.M)
    assert len(re.findall(r"^ +(?:STATE|STATE_PASSPHRASE|SIGN_KEY|PUBLISH): ", text, re.M)) == 4
    return text


def commands_of_github(state: Path, key: Path) -> tuple[str, dict[str, str]]:
    """Return the commands of the steps, in order, with the settings that GitHub would give them."""
    values = {
        "secrets.DICOMWEB_TOKEN": "",
        "inputs.allow": "",
        "github.ref_name": "main",
        "secrets.DICOMZARR_KEY": KEY,
        "secrets.STATE_PASSPHRASE": PASSPHRASE,
        **{f"secrets.{name}": value for name, value in VARIABLES.items()},
    }
    text = re.sub(r"\$\{\{ ([\w.]+) \}\}", lambda match: values[match[1]], with_options(TEMPLATES / "github.yml"))
    (job,) = yaml.safe_load(text)["jobs"].values()
    steps = [step for step in job["steps"] if "run" in step]
    settings = {name: str(value or "") for step in steps for name, value in step["env"].items()}
    return "\n".join(step["run"] for step in steps), {
        **settings,
        "STATE": str(state),
        "SIGN_KEY": str(key) if key.exists() else "",
    }


def commands_of_gitlab() -> tuple[str, dict[str, str]]:
    """Return the commands of the job, in order, with the variables that GitLab would give it."""
    job = yaml.safe_load((TEMPLATES / "gitlab-ci.yml").read_text())["rebuild"]
    given = {"CI_DEFAULT_BRANCH": "main", "CI_SERVER_HOST": "gitlab.example", "CI_PROJECT_PATH": "group/project"}
    settings = {name: re.sub(r"\$(\w+)", lambda m: given[m[1]], value) for name, value in job["variables"].items()}
    return "\n".join(job["before_script"] + job["script"]), {**given, **settings, "RELEASE_TOKEN": TOKEN}


def printed(done: subprocess.CompletedProcess[str]) -> list[str]:
    """Return the steps of the script that were begun."""
    return re.findall(r"^== (.*)$", done.stdout, re.M)


@pytest.fixture
def runner_of(environment: Path, tmp_path: Path) -> Any:
    inherited = {name: os.environ[name] for name in ("PATH", "TMPDIR") if name in os.environ}
    inherited |= {"HOME": str(tmp_path), "DICOMZARR_VENV": str(environment), "GIT_CONFIG_NOSYSTEM": "1"}
    return lambda folder: Runner(folder, inherited)


@pytest.mark.slow
def test_cron_releases_github_restores_and_publishes_and_gitlab_has_nothing_to_do(
    tmp_path: Path, runner_of: Any
) -> None:
    with moto() as server:
        rebuilds = Rebuilds(tmp_path, runner_of, server.endpoint)
        rebuilds.release_by_cron()
        rebuilds.release_by_github()
        rebuilds.do_nothing_by_gitlab()
    # Nothing that others see holds an identity, the key, or where the source is.
    history = git(rebuilds.origin, "log", "--all", "-p", "--format=%B%an%ae")
    secrets = ("patient-", "Made^Up", uid("series", "alpha"), "of today", "incoming", KEY, PASSPHRASE, TOKEN, BUCKET)
    for secret in filter(None, secrets):
        assert not any(secret in text.replace(CONFIGURATION, "") for text in [*rebuilds.shown, history]), secret


CONFIGURATION = f"{{source: ../incoming, results: results, publish: {{target: 's3://{BUCKET}/ct'}}}}"


class Rebuilds:
    """Rebuilds of one dataset by two runners, with their common repository and state; `shown` is what others see."""

    def __init__(self, folder: Path, runner_of: Any, endpoint: str) -> None:
        self.folder, self.runner_of, self.endpoint = folder, runner_of, endpoint
        self.origin, self.state, self.second = (
            folder / "origin.git",
            folder / "mnt/state.tar.gpg",
            folder / "b/elsewhere",
        )
        self.tag = ""  # of the first release
        self.shown: list[str] = []

    def release_by_cron(self) -> None:
        """Release for the first time, with a state that is kept for other runners."""
        tmp_path, origin, state, runner_of = self.folder, self.origin, self.state, self.runner_of
        for series in BEFORE:
            save_series(tmp_path / "a/incoming" / series, series, 3)
        state.parent.mkdir()
        subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(origin)], check=True)
        first = tmp_path / "a/dataset"
        subprocess.run(["git", "clone", "-q", str(origin), str(first)], check=True, capture_output=True)
        (first / "my.yaml").write_text(CONFIGURATION)
        (first / ".gitignore").write_text("/results/\n/.snakemake/\n/rebuild/\n/dicomzarr/\n/rebuild.log\n")
        git(first, "checkout", "-q", "-b", "main")
        git(first, "add", ".")
        git(first, "commit", "-q", "-m", "configuration")

        command, settings = commands_of_cron(first, clean_clone(tmp_path / "opt/dicomzarr"))
        settings |= {"STATE": str(state), "STATE_PASSPHRASE": PASSPHRASE, "PUSH_TO": "origin", "DICOMZARR_KEY": KEY}
        done = runner_of(first).run(command, **settings)
        log = (first / "rebuild.log").read_text()
        assert done.returncode == 0, log + done.stdout
        steps = re.findall(r"^== (.*)$", log, re.M)
        assert steps[:4] == ["status", "run", "verify", "release"] and steps[-1] == "save state"
        assert stat.S_IMODE(state.stat().st_mode) == 0o600
        assert not PASSPHRASE or b"private/headers.jsonl" not in state.read_bytes()  # not the names of its files either
        (self.tag,) = git(origin, "tag").split()
        assert sorted(git(origin, "ls-tree", "--name-only", "main:released").split()) == [
            "changes.txt",
            "dataset.json",
            "masks.csv",
            "volumes.csv",
        ]
        self.shown.append(log)

    def release_by_github(self) -> None:
        """Restore the state on another runner after new files came, publish and release.

        It sees the source on another mount: other inodes, other change times.
        """
        tmp_path, origin, state, endpoint = self.folder, self.origin, self.state, self.endpoint
        source = tmp_path / "b/incoming"
        shutil.copytree(tmp_path / "a/incoming", source)
        for series in NEW:
            save_series(source / "of today" / series, series, 3)
        shutil.rmtree(tmp_path / "a")
        second = self.second
        subprocess.run(["git", "clone", "-q", str(origin), str(second)], check=True)
        clean_clone(second / "dicomzarr")
        assert not (second / "results").exists()
        key = tmp_path / "signing_key"
        if shutil.which("ssh-keygen"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
        command, settings = commands_of_github(state, key)
        done = self.runner_of(second).run(command, **settings, AWS_ENDPOINT_URL=endpoint)
        assert done.returncode == 0, done.stdout + done.stderr
        steps = printed(done)
        signed = ["sign"] if key.exists() else []
        expected = ["restore state", "status", "run", "verify", "diff", "gate", *signed, "publish", "release"]
        assert steps[: len(expected)] == expected and steps[-1] == "save state"
        reports = {path.name: path.read_text() for path in (second / "rebuild").iterdir()}
        signers = ["allowed_signers"] * len(signed)
        assert {*reports} == {
            "status.json",
            "run.json",
            "report.html",
            "verify.json",
            "diff.json",
            "diff.txt",
            *signers,
        }
        status = json.loads(reports["status.json"])
        assert status["pending"] and {"reason": "source_new", "count": 6} in status["reasons"]
        assert not [reason for reason in status["reasons"] if reason["reason"] in ("source_changed", "lost")]
        assert json.loads(reports["verify.json"])["good"] is True
        volumes = json.loads(reports["diff.json"])["volumes"]
        assert [array.split("/")[0] for array in volumes["added"]] == sorted(map(series_id, NEW))
        assert {**volumes, "added": []} == {**NO_CHANGES, "rewritten": volumes["rewritten"]}
        assert volumes["rewritten"] == 0
        # Only what is new was read, extracted and read back, but for a sample of contents. The arrays of the restored
        # state are as the archive had them, with times in whole seconds.
        assert re.search(r"^Headers +6 files read, 6 known already ", done.stderr, re.M)
        for stage in ("Extraction", "Read back"):
            assert re.search(rf"^{stage} +2 series, \S+ kB; 2 up to date already ", done.stderr, re.M)
        assert "this looks like a remount or a restored copy" in done.stderr
        for series in BEFORE:
            arrays = (second / "results/dataset/images.zarr" / series_id(series)).rglob("c/*/*/*")
            assert {path.stat().st_mtime_ns % 10**9 for path in arrays} == {0}
        records = [*(second / "results/private/records/extract_batch").glob("*.json")]
        assert sum(json.loads(path.read_text())["counts"]["extracted"] for path in records) == len(NEW)
        for array, series in zip(volumes["added"], sorted(NEW, key=series_id), strict=True):
            voxels = zarr.open_array(second / "results/dataset/images.zarr" / array / "0", mode="r")
            for index in range(3):
                assert np.array_equal(voxels[index], slice_pixels(series, index))
        # What was published, over HTTP: one slice of one new series.
        assert (
            git(origin, "show", "main:released/dataset.json") == (second / "results/dataset/dataset.json").read_text()
        )
        published = open_dataset(f"{endpoint}/{BUCKET}/ct", sample="slice")
        wanted = [sample for sample in published if sample["array"] == volumes["added"][0]]
        known = slice_pixels(sorted(NEW, key=series_id)[0], 1)
        assert len(published) == 4 * 3 and np.array_equal(wanted[1]["image"].squeeze(), known)
        assert len(git(origin, "tag").split()) == 2
        assert git(origin, "log", "-1", "--format=%b", "main").strip() == "2 added, 0 grown, 0 changed, 0 retired"
        self.shown += [*reports.values(), done.stdout, done.stderr]

    def do_nothing_by_gitlab(self) -> None:
        """Do nothing without new files, but push what may not have been pushed."""
        origin = self.origin
        command, settings = commands_of_gitlab()
        url = f"https://release:{TOKEN}@gitlab.example/group/project.git"
        settings |= {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": f"url.{origin}.insteadOf", "GIT_CONFIG_VALUE_0": url}
        git(origin, "tag", "-d", next(name for name in git(origin, "tag").split() if name != self.tag))
        again = self.runner_of(self.second).run(command, **settings, DICOMZARR_KEY=KEY)
        assert again.returncode == 0, again.stdout + again.stderr
        assert printed(again)[:2] == ["status", "nothing to do since the last release"]
        assert len(git(origin, "tag").split()) == 2
        self.shown += [again.stdout, again.stderr]


# ---- The script by itself, with a stand-in for ./run that answers as a test says

STAND_IN = """#!/bin/sh
echo "$*" >>calls
case $1 in
  status) cat status.json; exit "$(cat status.code)" ;;
  --json) mkdir -p results/dataset/reports results/private
          cp new/* results/dataset; touch results/dataset/reports/report.html
          printf '{"results": "%s"}' "$(cat results.is)"; exit "$(cat run.code)" ;;
  verify) echo '{}'; exit "$(cat verify.code)" ;;
  diff) cat diff.json; exit 1 ;;
  publish | retrieve | sign) ;;
esac
"""


@pytest.fixture
def script(tmp_path: Path, runner_of: Any) -> Runner:
    """A folder with a dataset that was released, and another one that `./run` will write."""
    project, folder = tmp_path / "project", tmp_path / "folder"
    (project / "templates").mkdir(parents=True)
    shutil.copy(TEMPLATES / "rebuild.sh", project / "templates/rebuild.sh")
    (project / "run").write_text(STAND_IN)
    (project / "run").chmod(0o755)
    for part in ("new", "released", "results/private"):
        (folder / part).mkdir(parents=True)
    for name in ("volumes.csv", "masks.csv"):
        (folder / "new" / name).write_text("array\n")
    (folder / "new/dataset.json").write_text('{"seal": "0123456789abcdef"}')
    (folder / "released/dataset.json").write_text('{"seal": "fedcba9876543210"}')
    label = {"proposals": [{"label": "liver of Mr Wolf"}]}
    status = {"pending": True, "reasons": [], "unnamed_masks": label}
    (folder / "status.json").write_text(json.dumps(status))
    (folder / "diff.json").write_text(json.dumps({"same_key": True, "volumes": NO_CHANGES}))
    for name, value in (("status.code", "2"), ("run.code", "0"), ("verify.code", "0"), ("results.is", "results")):
        (folder / name).write_text(value)
    return runner_of(folder)


def rebuild(script: Runner, **settings: str) -> subprocess.CompletedProcess[str]:
    return script.run(str(script.folder.parent / "project/templates/rebuild.sh"), **settings)


def calls(script: Runner) -> list[str]:
    return [line.split()[0] for line in (script.folder / "calls").read_text().splitlines()]


def released(script: Runner) -> bool:
    return "0123456789abcdef" in (script.folder / "released/dataset.json").read_text()


@pytest.mark.parametrize(
    ("found", "same_key", "allow"),
    [({"retired": ["a/b"]}, True, "retired"), ({"changed": {"a/b": {}}}, True, "changed"), ({}, False, "key")],
)
def test_the_gate_refuses_what_nobody_allowed(
    script: Runner, found: dict[str, Any], same_key: bool, allow: str
) -> None:
    difference = {"same_key": same_key, "volumes": {**NO_CHANGES, **found}}
    (script.folder / "diff.json").write_text(json.dumps(difference))
    done = rebuild(script, PUBLISH="1")
    assert done.returncode == 3 and f"ALLOW={allow}" in done.stderr
    assert not released(script) and "publish" not in calls(script)
    assert rebuild(script, ALLOW=f"key,{allow}", PUBLISH="1").returncode == 0
    assert released(script) and calls(script)[-5:] == ["--json", "verify", "diff", "diff", "publish"]


@pytest.mark.parametrize("step", ["status", "run", "verify"])
def test_a_step_that_fails_ends_the_rebuild_and_keeps_the_state(script: Runner, step: str) -> None:
    (script.folder / f"{step}.code").write_text("1")
    done = rebuild(script, STATE="state.tar")
    assert done.returncode == 1 and not released(script)
    assert calls(script)[-1] == {"run": "--json"}.get(step, step)
    names = subprocess.run(["tar", "-tf", script.folder / "state.tar"], check=True, capture_output=True, text=True)
    assert "results/private/" in names.stdout.split()
    assert ("results/dataset/dataset.json" in names.stdout.split()) == (step != "status")


def test_labels_of_masks_reach_no_artifact(script: Runner) -> None:
    done = rebuild(script)
    assert done.returncode == 0
    shown = [path.read_text() for path in (script.folder / "rebuild").iterdir()]
    assert not any("Wolf" in text for text in [*shown, done.stdout, done.stderr])


def test_another_results_folder_than_that_of_the_configuration_is_refused(script: Runner) -> None:
    (script.folder / "results.is").write_text("elsewhere")
    done = rebuild(script)
    assert done.returncode == 1 and "names another folder" in done.stderr and not released(script)


def test_a_lost_state_begins_no_dataset_with_another_key(script: Runner) -> None:
    shutil.rmtree(script.folder / "results")
    done = rebuild(script)
    assert done.returncode == 1 and "restore them" in done.stderr and not (script.folder / "calls").exists()
    assert rebuild(script, DICOMZARR_KEY=KEY).returncode == 0  # with the key all ids are the same


@needs_gpg
def test_a_state_of_another_passphrase_begins_nothing(script: Runner) -> None:
    assert rebuild(script, STATE="state.tar.gpg", STATE_PASSPHRASE=PASSPHRASE).returncode == 0
    shutil.rmtree(script.folder / "results")
    (script.folder / "calls").unlink()
    done = rebuild(script, STATE="state.tar.gpg", STATE_PASSPHRASE="another passphrase", DICOMZARR_KEY=KEY)
    assert done.returncode != 0 and not (script.folder / "calls").exists()
    assert rebuild(script, STATE="state.tar.gpg", STATE_PASSPHRASE=PASSPHRASE, DICOMZARR_KEY=KEY).returncode == 0


@pytest.mark.parametrize("passphrase", [pytest.param(PASSPHRASE, marks=needs_gpg), ""])
def test_a_damaged_state_is_not_restored_in_part_nor_replaced(script: Runner, passphrase: str) -> None:
    settings = {"STATE": "state.tar", "STATE_PASSPHRASE": passphrase, "DICOMZARR_KEY": KEY}
    (script.folder / "results/large").write_bytes(bytes(1 << 20))
    assert rebuild(script, **settings).returncode == 0
    state = script.folder / "state.tar"
    damaged = state.read_bytes()[: 1 << 19]
    state.write_bytes(damaged)
    shutil.rmtree(script.folder / "results")
    (script.folder / "calls").unlink()
    assert rebuild(script, **settings).returncode != 0
    assert not (script.folder / "calls").exists() and state.read_bytes() == damaged
    assert not (script.folder / "results").exists() and not [*script.folder.glob("*.partial")]


@pytest.mark.parametrize("passphrase", [pytest.param(PASSPHRASE, marks=needs_gpg), ""])
def test_an_archive_that_cannot_be_written_replaces_no_good_one(script: Runner, passphrase: str) -> None:
    settings = {"STATE": "state.tar", "STATE_PASSPHRASE": passphrase}
    assert rebuild(script, **settings).returncode == 0
    before = (script.folder / "state.tar").read_bytes()
    full = script.folder.parent / "bin/tar"
    full.parent.mkdir()
    full.write_text('#!/bin/sh\necho half; echo half >"$2"; echo "tar: No space left on device" >&2; exit 2\n')
    full.chmod(0o755)
    done = rebuild(script, **settings, PATH=f"{full.parent}:{os.environ['PATH']}")
    assert done.returncode == 1 and (script.folder / "state.tar").read_bytes() == before


def test_what_is_optional_comes_in_its_place(script: Runner) -> None:
    assert rebuild(script, RETRIEVE="1", SIGN_KEY="key", PUBLISH="1").returncode == 0
    assert calls(script) == ["retrieve", "status", "--json", "verify", "diff", "diff", "sign", "publish"]
