"""What the results of all sources have in common is no identifier: a source that had it, too, would end its own run."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from conftest import Workflow
from dicoms import save_series
from scans_with_masks import ScanWithMasks

from dicomzarr.privacy import numbers, scanner
from dicomzarr.privacy.grouped_numbers import numbers_in_groups
from dicomzarr.privacy.identifiers import IDENTIFIERS, identifiers_of
from dicomzarr.privacy.plain_words import own_words, shipped_parts
from dicomzarr.privacy.scanner import Allowed, Scanner
from dicomzarr.privacy.words import is_placeholder, words_of
from dicomzarr.stages.check_privacy import PrivacyProblem, check_privacy
from dicomzarr.system.results_folder import Results
from dicomzarr.system.software import software

ROOT = Path(__file__).parents[2]
CONFIG = {
    "masks": {"names": {"kidney": ["(?i)^kidney l"]}},
    "splits": {"fractions": {"train": 0.5, "test": 0.5}},
    "nnunet": {"dataset": "Dataset001_Abdomen", "modality": "CT", "labels": ["kidney"], "overlaps": "regions"},
    "report": {"pictures": False},
}
EXPORTS = ("export_nifti", "export_npz", "export_nnunet", "export_monai")
# Digests of the project's own code, which each version has others of; in hex, or of the page's style and scripts.
DIGEST = re.compile(rb"[0-9a-f]{16,64}|sha(?:256|512)-[\w+/]+=*")
NAME_OR_NUMBER = re.compile("[a-z]{5,24}|[0-9]{8,}")


def looked_up(results: Path, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Return the words and numbers that the search looks up in all files but the private ones and the logs."""
    found: set[str] = set()
    words, number = scanner.hash_of_words, numbers.hash_of_number
    monkeypatch.setattr(scanner, "hash_of_words", lambda text: found.add(" ".join(text)) or words(text))
    monkeypatch.setattr(numbers, "hash_of_number", lambda value: found.add(str(value)) or number(value))
    versions = " ".join(software().values())
    own = own_words(ROOT).union(words_of(versions), numbers_in_groups(versions))
    search = Scanner(frozenset(), own, Allowed(shipped=shipped_parts(ROOT)))
    for path in (results / "dataset", results / "exports"):
        for file in sorted(path.rglob("*")):
            search.name(file.name)
            if file.is_file() and "c" not in file.relative_to(results).parts and file.suffix not in (".gz", ".npz"):
                search.content(DIGEST.sub(b"", file.read_bytes()), file.name)
    return found - own


def test_what_two_runs_have_in_common_identifies_nobody(
    workflow: Workflow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Workflow(tmp_path / "other", {}, {"DICOMZARR_KEY": "q" * 40}, forks=workflow.forks)
    for run, names in ((workflow, ("Zebrafink", "Ponyhof")), (other, ("Huckebein", "Marabu"))):
        for number, name in enumerate(names, 3):
            ScanWithMasks(name).save(run.source / name)
            save_series(run.source / f"{name} {number}", name, number + len(name))
        run.run(*EXPORTS, **CONFIG)
    common = looked_up(workflow.results, monkeypatch) & looked_up(other.results, monkeypatch)
    assert not [text for text in common if NAME_OR_NUMBER.fullmatch(text) and not is_placeholder(text)]


def test_ids_of_volumes_are_no_identifiers(workflow: Workflow) -> None:
    """One of 43 has digits alone: among millions of accession numbers and dates, some source has the same one."""
    for name in ("Zebrafink", "Ponyhof"):
        ScanWithMasks(name).save(workflow.source / name)
    run = workflow.run(*EXPORTS, "export_png", "export_preview", **CONFIG | {"report": {"pictures": True}})
    volumes = [row["array"].partition("/")[2] for row in run.table("dataset/volumes.csv")]
    cache = workflow.results / "private" / "cache"
    for path in (cache / "searched.json", *cache.glob("absent-*")):
        path.unlink(missing_ok=True)
    code, *known = np.load(cache / IDENTIFIERS).tolist()
    known += [identifier for volume in volumes for identifier in identifiers_of("LO", volume.encode())]
    np.save(cache / IDENTIFIERS, np.array([code, *sorted(set(known))], np.uint64))
    assert check_privacy(Results(workflow.results), workflow.folder, "full", "of this test") > 100
    shown = workflow.results / "dataset" / "reports" / "depth.csv"
    shown.write_text(f"{shown.read_text()}{volumes[0]}\n")
    with pytest.raises(PrivacyProblem, match="value_in_file in results/dataset/reports/depth.csv"):
        check_privacy(Results(workflow.results), workflow.folder, "full", "of this test")
