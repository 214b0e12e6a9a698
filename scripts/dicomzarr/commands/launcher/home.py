"""What Snakemake asks of the user who starts it: a name, a home, and a cache that can be written.

In a container the user is often a mere number, and on a cluster the home is often full or read-only. Snakemake ends
with a traceback there. Standard library only: `environment.py` imports this module before the environment exists.
"""

from __future__ import annotations

import errno
import os
import pwd
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from dicomzarr.system.shortage import LARGE_FILES
from dicomzarr.vocabulary.errors import UserError

_CACHE = "XDG_CACHE_HOME"
_NEEDED = 1 << 20  # bytes: Snakemake keeps a copy of the rules in its cache while it runs
_NAMES = ("LOGNAME", "USER", "LNAME", "USERNAME")  # as the module getpass reads them


def of_a_nameless_user(variables: Mapping[str, str]) -> dict[str, str]:
    """Return USER and HOME for a user whom the system does not know, where the environment lacks them.

    Parameters
    ----------
    variables : mapping of str to str
        The environment.
    """
    with suppress(KeyError):
        pwd.getpwuid(os.getuid())
        return {}
    added = {} if any(variables.get(name) for name in _NAMES) else {"USER": f"uid{os.getuid()}"}
    return added if os.path.isabs(variables.get("HOME", "")) else added | {"HOME": "/"}


@contextmanager
def writable_cache(variables: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Yield the variable that gives Snakemake a cache for this run; none where that of the user can be written.

    Parameters
    ----------
    variables : mapping of str to str
        The environment.

    Raises
    ------
    UserError
        If neither the cache of the user nor the temporary folder can be written, or no file of that size.
    """
    given = variables.get(_CACHE, "")
    cache = given if os.path.isabs(given) else os.path.join(os.path.expanduser("~"), ".cache")
    if _can_be_written(os.path.join(cache, "snakemake")):
        yield {}
        return
    with tempfile.TemporaryDirectory() as temporary:
        if not _can_be_written(temporary):
            raise UserError(
                f"Snakemake needs 1 MB for a copy of its rules: neither {cache} nor {tempfile.gettempdir()} can be "
                f"written, or both are full; set {_CACHE} to a folder that can"
            )
        yield {_CACHE: temporary}


def _can_be_written(folder: str) -> bool:
    try:
        os.makedirs(folder, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(_NEEDED))
    except OSError as error:
        if error.errno == errno.EFBIG:  # no other folder helps
            raise UserError(f"Snakemake needs 1 MB for a copy of its rules, and {LARGE_FILES}") from None
        return False
    return True
