"""What a run noted of the records that it revoked."""

from __future__ import annotations

from pathlib import Path

from dicomzarr.records.revoke import revocations
from dicomzarr.system.results_folder import Results

UNITS = {1: "dataset", 2: "batch", 3: "series"}  # of which a record lies so deep below `private/records/`


def revoked(results: Path) -> set[tuple[str, str, str]]:
    """Return the rule, the unit and the reason of every revocation; the seal counts as that of ``seal_dataset``."""
    found = set()
    for line in revocations(Results(results)):
        path = Path(line["record"])
        if path == Path("dataset/dataset.json"):
            found.add(("seal_dataset", "dataset", line["why"]))
        else:
            rule, *deeper = path.relative_to("private/records").parts
            found.add((rule.removesuffix(".json"), UNITS[1 + len(deeper)], line["why"]))
    return found
