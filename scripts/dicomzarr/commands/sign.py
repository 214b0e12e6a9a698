"""`./run sign`: sign `dataset.json`, which holds the digest and the seal of all other files, with a key of OpenSSH."""

from __future__ import annotations

import contextlib
import datetime
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from dicomzarr.commands.launcher.command_table import BY_NAME
from dicomzarr.commands.launcher.options import no_dataset, parse, results_of
from dicomzarr.commands.launcher.processes import say
from dicomzarr.records.rule_record import load_common
from dicomzarr.system import files, locks, signatures
from dicomzarr.system.results_folder import Results
from dicomzarr.vocabulary.errors import Damaged, UserError

IDENTITY = "signer"  # the name in the printed line if none is given; it is not part of the signature


def run_sign(arguments: Sequence[str]) -> int:
    """Write the signature of a finished dataset, and print the line that lets others check it.

    Returns
    -------
    int
        0 if it is signed; 1 if there is no finished dataset.
    """
    options = parse(BY_NAME["sign"], arguments)
    if not options.positional:
        raise UserError("the key is missing: ./run sign KEY. See ./run sign --help")
    key, identity = Path(options.positional[0]), options.last("--identity") or IDENTITY
    results = results_of(options)
    signatures.allowed_signer(identity, b"")  # a name that cannot be used is refused before a passphrase is asked for
    with _no_run(results):
        try:
            content = results.sealed.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            say(f"run: {no_dataset(results, options, 'finished dataset')}")
            return 1
        _refuse_other_than_recorded(results, content)
        if key.resolve().is_relative_to(results.dataset.resolve()):
            raise UserError(f"the key {str(key)!r} is inside the dataset, with which it would be shared: move it first")
        signature = signatures.sign(content, key)
        path = signatures.path_of(results.sealed)
        files.write_atomically(path, signature)
    say(f"Signed: {path}\nTo check it: ./run verify --signers FILE, where FILE holds the line that this prints:")
    print(signatures.allowed_signer(identity, signature), flush=True)
    return 0


@contextlib.contextmanager
def _no_run(results: Results) -> Iterator[None]:
    """Refuse a run in the meantime, which would replace the dataset."""
    if not files.is_dir(results.private):
        yield
        return
    now = datetime.datetime.now().astimezone().isoformat(" ", "seconds")
    handle = locks.lock_run(results.private, now, shared=True)
    try:
        yield
    finally:
        os.close(handle)


def _refuse_other_than_recorded(results: Results, content: bytes) -> None:
    """Refuse a `dataset.json` that is not the one of its record, where there are records."""
    try:
        claims = load_common(results.records / "seal_dataset.json").claims
    except (FileNotFoundError, NotADirectoryError):
        return  # a dataset without its private folder
    except Damaged:
        claims = {}
    claim = claims.get(os.path.relpath(results.sealed, results.root))
    if claim is None or claim.digest != files.sha256_of_bytes(content):
        raise UserError("dataset.json is not as it was recorded, so it was not signed: see ./run verify, and --repair")
