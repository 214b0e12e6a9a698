"""A small results folder whose source names a made-up patient, and the privacy search over it."""

from __future__ import annotations

from pathlib import Path

from dicomzarr.privacy.identifiers import IDENTIFIERS, IdentifierFile, identifiers_of
from dicomzarr.stages import check_privacy
from dicomzarr.system.results_folder import Results

UID = b"1.2.826.0.1.3680043.777.1.424243\0"
TEXTS = [("PN", b"Zyxwolf^Canaria "), ("LO", b"CANPID7719"), ("UI", UID), ("DA", b"19370203")]


def results_to_search(tmp_path: Path) -> Results:
    folders = Results(tmp_path / "results")
    (folders.private / "cache").mkdir(parents=True)
    identifiers = IdentifierFile(folders.private / "cache" / IDENTIFIERS, "code")
    identifiers.add([identifier for item in TEXTS for identifier in identifiers_of(*item)])
    identifiers.save()
    folders.dataset.mkdir()
    (folders.private / "names.csv").write_text("Zyxwolf^Canaria")
    (folders.dataset / "volumes.csv").write_text("array\nabc\n")
    return folders


def search(results: Results, level: str = "standard") -> int:
    return check_privacy.check_privacy(results, results.root.parent, level, "code")
