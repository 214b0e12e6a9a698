"""The cards in the workflow: what a change of `card` reruns, what the privacy search makes of it, the seal."""

from __future__ import annotations

from pathlib import Path

from card_validators import FAULTS
from conftest import Launch, Run, Workflow
from dicoms import save_series
from forks import Forks

RULES = ("index_headers", "extract_batch", "consolidate_dataset", "render_report", "write_cards", "check_privacy")
PERSON = "Zyxwolf"  # the patient, who also is an author


def work(run: Run) -> dict[str, int]:
    return {rule: run.jobs(rule) for rule in RULES if run.jobs(rule)}


def faults_of(dataset: Path) -> dict[str, list[str]]:
    return {name: found for name, faults in FAULTS.items() if (found := faults(dataset))}


def test_a_change_of_the_card_reruns_the_cards_alone(workflow: Workflow, warm: Forks | None, launch: Launch) -> None:
    workflow.forks = warm
    for number in range(3):
        save_series(workflow.source, f"series-{number}", 2, PatientName=f"{PERSON}^Canaria")
    workflow.config = {
        "labels": [{"folder": 1, "name": "ward", "values": ["north", "south"]}],
        "splits": {"fractions": {"train": 0.5, "test": 0.5}},
    }
    dataset, first = workflow.results / "dataset", workflow.run().sealed
    assert faults_of(dataset) == {}
    without_card = {name: (dataset / name).read_bytes() for name in FAULTS}
    assert not any(PERSON.encode() in content for content in without_card.values())

    workflow.config["card"] = {"title": "Kittens", "authors": [{"name": f"{PERSON}, Canaria"}], "license": "CC-BY-4.0"}
    run = workflow.run()
    assert work(run) == {"write_cards": 1, "check_privacy": 1}
    second = run.sealed
    assert second["digest"] != first["digest"] and faults_of(dataset) == {}
    assert all(PERSON.encode() in (dataset / name).read_bytes() for name in FAULTS)

    # A damaged card is found and written again.
    (dataset / "CITATION.cff").write_bytes(b"x" * (dataset / "CITATION.cff").stat().st_size)
    assert launch(workflow, "verify", "--repair").returncode == 0 and workflow.sealed() == second
    assert b"Kittens" in (dataset / "CITATION.cff").read_bytes()

    # Without the words, the dataset is the first one again, and the name of the patient is a leak.
    del workflow.config["card"]
    assert workflow.run().sealed == first
    assert {name: (dataset / name).read_bytes() for name in FAULTS} == without_card
    page = dataset / "DATASET_CARD.md"
    page.write_text(page.read_text().replace("## Licence", f"## {PERSON}"))  # of the same length
    run = workflow.run("--forcerun", "check_privacy", ok=False)
    assert "check_privacy: value_in_file in results/dataset/DATASET_CARD.md, line" in run.output
