"""Results with images, tables and other files of known words, as the privacy search reads them."""

from __future__ import annotations

from pathlib import Path

import zarr

from dicomzarr.privacy.identifiers import IDENTIFIERS, IdentifierFile, identifiers_of
from dicomzarr.stages import check_privacy
from dicomzarr.system.results_folder import Results

SERIES = [f"{number:016x}" for number in (0x0010 << 48, 0x0011 << 48, 0xABC0 << 48)]  # of two groups


def add_identifiers(results: Results, *texts: tuple[str, bytes]) -> None:
    identifiers = IdentifierFile(results.private / "cache" / IDENTIFIERS, "code")
    identifiers.load()
    identifiers.add([identifier for item in texts for identifier in identifiers_of(*item)])
    identifiers.save()


def searched_results(root: Path) -> Results:
    """Write a results folder, and return it."""
    folders = Results(root)
    (folders.private / "cache").mkdir(parents=True)
    add_identifiers(folders, ("PN", b"Zyxwolf^Canaria"))
    for series in SERIES:
        zarr.create_array(str(folders.images / series / "01234567" / "0"), shape=(2, 2), dtype="u1")[:] = 7
        (folders.images / series / "zarr.json").write_text('{"kind": "pferdekopf am ponyhof"}')
    (folders.dataset / "volumes.csv").write_text(
        "array,note\n" + "".join(f"{series},meierhuber\n" for series in SERIES)
    )
    (folders.dataset / "rhabarber.txt").write_text("seen by Doktor Eisenbart")
    return folders


def search(results: Results, processes: int = 1) -> int:
    return check_privacy.check_privacy(results, results.root.parent, "standard", "code", processes=processes)


def write_table(path: Path, lines: list[str]) -> Path:
    path.write_text("\n".join(["array,flags,frames", *lines, ""]))
    return path
