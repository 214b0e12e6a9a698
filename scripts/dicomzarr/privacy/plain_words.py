"""Words that say nothing: of this project, of Snakemake and of the calendar.

Reading them takes a third of a second. They are kept beside the bytecode of this module, by the stats of the files that
they come from, as Python keeps bytecode: whoever can write there can change the search itself.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from dicomzarr.privacy.identifiers import LEAST, words_of
from dicomzarr.system import digested_json
from dicomzarr.system import files as storage

KEPT = Path(__file__).parent / "__pycache__"


@functools.cache
def snakemakes_words() -> frozenset[str]:
    """Return the words of Snakemake's own modules, which its logs and its metadata are made of."""
    paths: list[Path] = []
    for name in ("snakemake", "snakemake_executor_plugin_local", "snakemake_interface_logger_plugins"):
        spec = importlib.util.find_spec(name)
        for place in (spec.submodule_search_locations or []) if spec else []:
            paths += Path(place).rglob("*.py")
    return _kept("snakemake", paths, _words_of_modules)


def _words_of_modules(paths: Iterable[Path]) -> Iterable[str]:
    for path in paths:
        lines = path.read_text("utf-8", "replace").splitlines()
        words = words_of("\n".join(line for line in lines if not _CREDITS.search(line)))
        yield from (word for word in words if word.isalpha())


_CREDITS = re.compile("author|copyright|@|email", re.IGNORECASE)


@functools.cache
def own_words(root: Path) -> frozenset[str]:
    """Return the words of this project: of its code, its rules, its pages and its configuration."""
    paths: list[Path] = []
    for pattern in ("Snakefile", "*.smk", "*.md", "*.yaml", "*.toml", "run", "rules/*.smk", "docs/**/*.md"):
        paths += root.glob(pattern)
    for pattern in ("*.py", "*.j2", "*.css", "*.json", "*.yaml", "*.lock"):
        for folder in ("scripts", "schemas", "profiles", "envs"):
            paths += root.glob(f"{folder}/**/{pattern}")
    return _kept("own", paths, _words_of_project)


def _words_of_project(paths: Iterable[Path]) -> Iterable[str]:
    found = set(_CALENDAR)
    for path in paths:
        found.update(words_of(path.read_text("utf-8", "replace")))
    # Numbers and hashes of lock files are no words; MONOCHROME2 and uint16 are.
    return {word for word in found if len(word) < LEAST or _OWN_WORD.fullmatch(word)} - _NAMES


_OWN_WORD = re.compile(r"\D+|[a-z]{3,}\d{1,3}")


def _kept(name: str, paths: Sequence[Path], make: Callable[[Iterable[Path]], Iterable[str]]) -> frozenset[str]:
    """Return the words of files, as they are kept if the files are the same."""
    files = sorted(map(os.fspath, [*paths, Path(__file__)]))
    stats = [(path, one.st_size, one.st_mtime_ns) for path in files for one in [os.stat(path)]]
    key = hashlib.blake2b(repr(stats).encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
    kept = KEPT / f"{name}.words"
    try:
        said = digested_json.read_record(kept)
        if said["key"] == key:
            return frozenset(said["words"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    found = frozenset(make(paths))
    with suppress(OSError):  # a project that may not be written to: read it each time
        storage.write_atomically(kept, digested_json.record_json({"key": key, "words": sorted(found)}))
    return found


# Names of people that stand in an example somewhere: the ones that a leak in a test of this search would have.
_NAMES = frozenset(words_of("Anna Wolf Jane John Doe Dixon Max Erika Mustermann Smith Mueller Miller"))
_CALENDAR = words_of(
    "Monday Tuesday Wednesday Thursday Friday Saturday Sunday January February March April May June July August"
    " September October November December UTC"
)
