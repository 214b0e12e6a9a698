"""Let Snakemake note keyed checksums of private inputs.

Purpose: Snakemake writes the SHA-256 of the inputs of each job into `.snakemake/metadata/`. Some private files hold
little but paths, which often name patients: whoever has that folder could try names until the digest is the same.

Tested with 9.27.1: `_IOFile.checksum`, which returns ``algorithm:digest`` or None, and is asked both to note a checksum
and to compare it. It is changed in any version that has it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from dicomzarr.privacy.pseudonyms import Pseudonyms


def key_checksums(private: Path, pseudonyms: Pseudonyms) -> None:
    """From now on, note and compare checksums of files in the private folder as HMACs with the key of the pseudonyms.

    A second call for the same folder changes nothing: another workflow may read the Snakefile several times.

    Parameters
    ----------
    private : Path
        The private folder of the results.
    pseudonyms : Pseudonyms
    """
    from snakemake.io import _IOFile

    inside = os.path.join(os.path.abspath(private), "")
    compute = _IOFile.checksum
    keyed: frozenset[str] = getattr(compute, "keyed", frozenset())
    if inside in keyed:
        return

    async def checksum(self: Any, *arguments: Any, **options: Any) -> Any:
        found = await compute(self, *arguments, **options)
        if found is None or not os.path.abspath(self.file).startswith(inside):
            return found
        algorithm, _, digest = found.partition(":")
        return f"{algorithm}:{pseudonyms.digest('input', digest)}"

    checksum.keyed = keyed | {inside}  # type: ignore[attr-defined]
    _IOFile.checksum = checksum
