"""Cached partitions of consolidation, in the real workflow: the bytes are those of a run from scratch."""

from __future__ import annotations

from pathlib import Path

from conftest import Workflow
from dicoms import save_series
from forks import Forks

BATCH = {"series": 2, "megabytes": 512}  # so that 16 series lie in eight batches


def bytes_of(results: Path) -> dict[str, bytes]:
    """Return all of the dataset, and the accounts."""
    private = results / "private"
    paths = [path for path in (results / "dataset").rglob("*") if path.is_file()]
    paths += [private / "files.csv", private / "frames.csv", private / "manifest.csv"]
    return {str(path.relative_to(results)): path.read_bytes() for path in paths}


def parts_rebuilt(workflow: Workflow) -> tuple[int, int]:
    log = (workflow.results / "logs/consolidate_dataset.log").read_text()
    rebuilt, _, total = log.partition("parts rebuilt ")[2].split()[:3]
    return int(rebuilt), int(total)


def damage(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def test_a_new_series_costs_one_partition_and_damage_is_rebuilt(
    workflow: Workflow, tmp_path: Path, warm: Forks | None
) -> None:
    workflow.forks = warm
    workflow.environment["DICOMZARR_KEY"] = "k" * 32
    workflow.config |= {"batch": BATCH, "splits": {"fractions": {"test": 0.5, "train": 0.5}, "seed": 1}}
    for number in range(14):
        save_series(workflow.source / f'a, "{number}"', f"series {number}", 2)
    (workflow.source / "note.txt").write_text("no image")
    (workflow.source / "link").symlink_to("note.txt")
    workflow.run()
    assert parts_rebuilt(workflow) == (8, 8)

    # One more series: one partition. The folder of earlier states of 0.1.0 is removed.
    earlier = workflow.results / "private" / "fragments"
    earlier.mkdir()
    (earlier / "008-000.json").write_text("{}")
    save_series(workflow.source / "b", "series 14", 2)
    workflow.run()
    assert parts_rebuilt(workflow) == (1, 8) and not earlier.exists()

    # Partitions that are damaged, missing, stale or another's, and provenance that was changed, are rebuilt.
    folder = workflow.results / "private" / "partitions"
    full = sorted(path for path in folder.glob("*.files") if path.stat().st_size)
    damage(full[0], -3)
    damage(full[1].with_suffix(".json"), 40)
    full[2].with_suffix(".frames").unlink()
    full[3].with_suffix(".volumes").write_bytes(full[4].with_suffix(".volumes").read_bytes())
    for ending in (".json", ".files", ".frames", ".volumes"):  # undamaged, but of other series
        full[4].with_suffix(ending).write_bytes(full[3].with_suffix(ending).read_bytes())
    damage(next((workflow.results / "dataset/provenance/extract_batch").glob("*")), 40)
    (folder / "surplus.json").write_text("{}")
    save_series(workflow.source / "c", "series 15", 1)
    workflow.run()
    assert parts_rebuilt(workflow)[0] >= 5
    assert not (folder / "surplus.json").exists()

    # Other splits change the rows.
    workflow.config["splits"] = {"fractions": {"test": 0.2, "train": 0.8}, "seed": 2}
    workflow.run()
    scratch = Workflow(
        tmp_path / "scratch",
        {**workflow.config, "source": str(workflow.source)},
        workflow.environment,
        forks=workflow.forks,
    )
    scratch.run()
    found, expected = bytes_of(workflow.results), bytes_of(scratch.results)
    assert {name for name in {*found, *expected} if found.get(name) != expected.get(name)} == set()
    assert len(found["private/frames.csv"].splitlines()) == 1 + 15 * 2 + 1
