"""Compare every byte of a copy of a dataset with its `checksums`, and these with its seal; nothing else is needed."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from dicomzarr.publishing import checklist
from dicomzarr.publishing.checklist import NotSealed
from dicomzarr.publishing.copies import Place, Remote
from dicomzarr.records.digests import CHECKSUMS, SEALED, SIGNATURE
from dicomzarr.records.file_findings import DAMAGED, MISSING, SURPLUS, Finding, lines_of, totals
from dicomzarr.records.record_file import FileClaim
from dicomzarr.system import signatures
from dicomzarr.system.signatures import Signature
from dicomzarr.vocabulary.errors import UserError

_ATTEMPTS = 3  # to read a file


@dataclass(slots=True)
class CopyVerdict:
    """The result of `verify`.

    Attributes
    ----------
    seal : str
        As `dataset.json` states it.
    files, bytes : int
        Number of files and bytes read.
    findings : list of (kind, path)
        `damaged`, `missing` or `surplus`, and the path below the dataset; sorted by path.
    unfinished : str
        Why `dataset.json` and `checksums` do not belong together, else empty.
    is_listed : bool
        Whether the place could be searched for surplus files.
    signature : Signature
        Of `dataset.json`.
    """

    seal: str = ""
    files: int = 0
    bytes: int = 0
    findings: list[Finding] = field(default_factory=list)
    unfinished: str = ""
    is_listed: bool = True
    signature: Signature = field(default_factory=Signature)

    @property
    def good(self) -> bool:
        """Return whether every file is as the seal states, and the signature holds if that was asked for."""
        return not self.findings and not self.unfinished and not self.signature.fails

    def lines(self) -> list[str]:
        """Return the verdict as text: a line for each finding, then the totals."""
        text = lines_of(self.findings)
        text += [f"damaged  {self.unfinished}"] if self.unfinished else []
        text += [self.signature.text] if self.signature.text else []
        return [*text, totals(self.files, self.bytes, self.findings)]


def verify(place: Place, threads: int, signers: Path | None = None) -> CopyVerdict:
    """Read every file of a copy and compare it with what the copy says about itself.

    Parameters
    ----------
    place : Folder or Remote
    threads : int
        Number of files read at once.
    signers : Path, optional
        A file of allowed signers, by one of which `dataset.json` must be signed.

    Raises
    ------
    UserError
        If `dataset.json` or `checksums` cannot be read, or a server does not answer.
    """
    sealed = _read(place, SEALED, "needed is the folder of a finished dataset")
    checksums = _read(place, CHECKSUMS, "an older version made this dataset; the next ./run adds the file")
    verdict = CopyVerdict(signature=signatures.check(sealed, _signature(place), signers))
    try:
        expected = checklist.read(sealed, checksums)
        verdict.seal, claims = expected.seal, dict(expected.claims)
    except NotSealed as problem:
        verdict.unfinished = str(problem)
        try:
            claims = checklist.parse(checksums)
        except NotSealed:
            return verdict
    with ThreadPoolExecutor(max(threads, 1)) as pool:
        paths = sorted(claims)
        answers = pool.map(lambda path: _compared(place, path, claims[path]), paths)
        for path, (kind, size) in zip(paths, answers, strict=True):
            verdict.files += kind != MISSING
            verdict.bytes += size
            verdict.findings += [(kind, path)] if kind else []
    names = place.names()
    verdict.is_listed = names is not None
    folders = {str(parent) for path in claims for parent in PurePosixPath(path).parents}  # one may be a link
    verdict.findings += [(SURPLUS, path) for path in (names or set()) - {*claims, *folders, *checklist.UNLISTED}]
    verdict.findings.sort(key=lambda finding: finding[1])
    return verdict


def _signature(place: Place) -> bytes | None:
    """Return the signature of a copy, None if there is none; one that cannot be read is an empty one."""
    try:
        return place.read(SIGNATURE)
    except FileNotFoundError:
        return None
    except PermissionError:
        return None if isinstance(place, Remote) else b""  # a bucket that may not be listed answers so if there is none
    except OSError:
        return b""


def _read(place: Place, name: str, advice: str) -> bytes:
    try:
        return place.read(name)
    except FileNotFoundError:
        raise UserError(f"there is no {name}: {advice}") from None
    except OSError as error:
        raise UserError(f"{name} cannot be read: {error.strerror or error}") from None


def _compared(place: Place, path: str, claim: FileClaim) -> tuple[str, int]:
    """Return `DAMAGED`, `MISSING` or nothing, and how many bytes of the file were read."""
    size, problem = 0, ""
    for _ in range(_ATTEMPTS):
        digest, size = hashlib.sha256(), 0
        try:
            for block in place.blocks(path):
                digest.update(block)
                size += len(block)
                if size > claim.size:
                    return DAMAGED, size
        except (FileNotFoundError, NotADirectoryError):
            return MISSING, 0
        except OSError as error:  # the connection broke off, or the disk is damaged
            problem = str(error)
            continue
        return "" if (size, digest.hexdigest()) == claim else DAMAGED, size
    if isinstance(place, Remote):
        raise UserError(f"not verified: {problem}")  # which says nothing about the file
    return DAMAGED, size
