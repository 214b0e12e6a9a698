"""The commands of docs/provenance.md, in their order, on a dataset of the real workflow; its RO-Crate and signature."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from card_validators import offline  # noqa: F401 (a fixture: it refuses the network)
from conftest import ROOT, Launch, Workflow
from crate_validator import PROFILE, cached_context, crate_issues
from dicoms import save_series
from signing_keys import key_pair

CARD = {
    "title": "Livers",
    "description": "CT of the liver.",
    "license": "CC-BY-4.0",
    "authors": [{"name": "Wolf, Anna", "orcid": "0000-0002-1825-0097", "affiliation": "Example Institute"}],
    "version": "1.0.0",
    "date_released": "2026-11-30",
    "keywords": ["liver"],
}
# What the profile recommends and the crate cannot say: docs/provenance.md.
RECOMMENDED = (
    "an endTime in ISO 8601", "an agent that is a Person", "Application SHOULD have a url",
    "id SHOULD be an absolute URI", "README.md SHOULD be about", "README.md SHOULD have text/markdown",
    "comply with Bioschemas", "`publisher`", "organization SHOULD have a URL",
)  # fmt: skip


def commands() -> list[str]:
    """Return the commands of the page, without comments."""
    blocks = re.findall(r"^```\n(.*?)^```", (ROOT / "docs" / "provenance.md").read_text(), re.M | re.S)
    return [line.partition(" #")[0].strip() for block in blocks for line in block.splitlines()]


def entities(dataset: Path) -> dict[str, dict[str, Any]]:
    return {each["@id"]: each for each in json.loads((dataset / "ro-crate-metadata.json").read_text())["@graph"]}


def ids(value: Any) -> Iterator[str]:
    yield from (each["@id"] for each in (value if isinstance(value, list) else [value]))


def test_the_page_and_the_life_of_a_signature(workflow: Workflow, environment: Path, launch: Launch) -> None:
    key_pair(workflow.folder, "stranger")  # skips without ssh-keygen
    for number in range(2):
        save_series(workflow.source / "Wolf^Anna", f"series-{number}", 2, PatientName="Zyxwolf^Canaria")
        (workflow.source / "Wolf^Anna").rename(workflow.source / f"Wolf^Anna {number}")
    dataset = workflow.run().results / "dataset"
    sealed = (dataset / "dataset.json").read_bytes()
    with open(dataset / "volumes.csv", newline="") as stream:
        array = next(csv.DictReader(stream))["array"]
    shutil.copytree(dataset, workflow.folder / "copy" / "dataset")
    variables = (
        os.environ | workflow.environment | {"DICOMZARR_VENV": str(environment), "ROCRATE_VALIDATOR_AUTO_WARM": "0"}
    )

    def shell(command: str) -> subprocess.CompletedProcess[str]:
        command = command.replace("./run", shlex.join([sys.executable, str(ROOT / "run")])).replace("ARRAY", array)
        folder = dataset if "../" in command else workflow.folder
        done = subprocess.run(  # two empty lines: no passphrase
            ["sh", "-c", command], cwd=folder, env=variables, input="\n\n", capture_output=True, text=True, check=False
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done

    with cached_context() as cache:
        for command in commands():
            if "MASK" in command:
                assert "it has no masks" in shell(command).stderr
                continue
            if command.startswith("rocrate-validator"):
                assert PROFILE in command
                command = f"{Path(sys.executable).parent}/{command} --offline --cache-path {cache}"
            done = shell(command)
            assert done.returncode == 0, (command, done.stdout, done.stderr)
            if "explain" in command and "--json" not in command:
                assert array in done.stdout and ("Wolf^Anna" in done.stdout) == ("--private" in command)
    assert b"curator" not in (dataset / "dataset.json.sig").read_bytes()
    shutil.copy(dataset / "dataset.json.sig", workflow.folder / "copy" / "dataset")
    done = shell("./run verify --dataset copy/dataset --signers allowed_signers")
    assert done.returncode == 0 and "signature good: of curator@example.org" in done.stdout

    # A run with nothing to do keeps the signature, and so does one that seals the same bytes again.
    signature = (dataset / "dataset.json.sig").read_bytes()
    assert workflow.run().nothing_to_do and (dataset / "dataset.json.sig").read_bytes() == signature
    again = workflow.run("--forcerun", "report_depth")
    assert again.jobs("seal_dataset") == 1 and (dataset / "dataset.json").read_bytes() == sealed
    assert (dataset / "dataset.json.sig").read_bytes() == signature
    done = launch(workflow, "verify")
    assert done.returncode == 0 and "signature there, and not checked" in done.stdout and "0 surplus" in done.stdout

    # One changed byte of dataset.json: the signature does not hold, and nobody can sign it by mistake.
    (dataset / "dataset.json").write_bytes(sealed.replace(b'"entries":4', b'"entries":5'))
    done = launch(workflow, "verify", "--signers", "allowed_signers", "--json")
    verdict = json.loads(done.stdout)
    assert (done.returncode, verdict["signature"], verdict["findings"]) == (1, "bad", [["damaged", "dataset.json"]])
    done = launch(workflow, "sign", "stranger")
    assert done.returncode == 2 and "not as it was recorded, so it was not signed" in done.stderr
    (dataset / "dataset.json").write_bytes(sealed)

    # The key of somebody else.
    assert launch(workflow, "sign", "stranger").returncode == 0
    done = launch(workflow, "verify", "--signers", "allowed_signers")
    assert done.returncode == 1 and "signature bad: no allowed signer has its key, ssh-ed25519 " in done.stdout
    assert "--repair" not in done.stderr

    # A changed dataset has no signature.
    workflow.config["card"] = CARD
    workflow.run()
    assert (dataset / "dataset.json").read_bytes() != sealed and not (dataset / "dataset.json.sig").exists()
    done = launch(workflow, "verify", "--signers", "allowed_signers")
    assert done.returncode == 1 and "signature missing" in done.stdout and "0 damaged, 0 missing" in done.stdout
    check_crate(dataset)


def check_crate(dataset: Path) -> None:
    """The crate of a dataset with a card: its files, its steps, and what it does not say."""
    found = entities(dataset)
    root = found["./"]
    assert (root["datePublished"], root["license"]["@id"]) == ("2026-11-30", "https://spdx.org/licenses/CC-BY-4.0.html")
    assert [*ids(root["author"])] == ["https://orcid.org/0000-0002-1825-0097"]
    assert all((dataset / path).exists() for path in ids(root["hasPart"]))
    files = [each for each in found.values() if "File" in each["@type"]]
    listed = {each["@id"]: each["sha256"] for each in files if "sha256" in each}
    assert listed == {path: hashlib.sha256((dataset / path).read_bytes()).hexdigest() for path in listed}
    assert {each["@id"] for each in files} - {*listed} == {"checksums", "dataset.json"}
    tables = {str(path.relative_to(dataset)) for path in dataset.rglob("*.csv")}
    assert {"DATASET_CARD.md", "reports/report.html", "provenance/write_cards.json"} <= {*listed}
    assert tables <= {*listed}
    assert (dataset / "provenance" / "Snakefile").read_bytes() == (ROOT / "Snakefile").read_bytes()
    workflow = found["provenance/Snakefile"]
    steps = [found[step]["workExample"]["@id"].lstrip("#") for step in ids(workflow["step"])]
    assert steps == [
        "discover_files", "index_headers", "plan_batches", "extract_batch", "check_batch", "report_depth",
        "report_size", "consolidate_dataset", "render_report", "write_cards",
    ]  # fmt: skip
    line = json.loads(next((dataset / "provenance" / "extract_batch").iterdir()).read_text().splitlines()[0])
    assert found["#extract_batch"]["softwareVersion"] == line["params"]["code"]
    assert found["#config-compression"]["value"] == "balanced"
    text = (dataset / "ro-crate-metadata.json").read_text()
    assert not re.search(r"Zyxwolf|Canaria|/tmp|T\d\d:\d\d|startTime|endTime|agent", text)
    issues = crate_issues(dataset, "RECOMMENDED")
    assert {severity for severity, _ in issues} == {"RECOMMENDED"}
    assert [message for _, message in issues if not any(part in message for part in RECOMMENDED)] == []
    assert len(issues) == len(RECOMMENDED)
