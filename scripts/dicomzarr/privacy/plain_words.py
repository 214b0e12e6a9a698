"""Plain words, which identify nobody: of this project, of Snakemake and of the calendar.

Reading them takes a third of a second. The lists are cached beside the bytecode of this module, by the stats of the
files that they are read from. Whoever can write there can change the code of the search as well.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from dicomzarr.privacy.identifiers import MIN_WEIGHT
from dicomzarr.privacy.words import words_of
from dicomzarr.system import digested_json, files

WORD_LISTS = Path(__file__).parent / "__pycache__"


@functools.cache
def snakemake_words() -> frozenset[str]:
    """Return the words of Snakemake's own modules, which occur in its logs and metadata."""
    words = _cached_words("snakemake", _modules("snakemake", *_PLUGINS), _words_of_modules)
    for name in _EXECUTORS:  # each with a list of its own: not every run sees every one
        if modules := _modules(name):
            words |= _cached_words(name, modules, _words_of_modules)
    return words


def _modules(*names: str) -> list[Path]:
    """Return the modules of packages, as far as they are installed."""
    paths: list[Path] = []
    for name in names:
        spec = importlib.util.find_spec(name)
        for folder in (spec.submodule_search_locations or []) if spec else []:
            paths += Path(folder).resolve().rglob("*.py")  # an environment may be reached by several paths
    return paths


def _words_of_modules(paths: Iterable[Path]) -> Iterable[str]:
    for path in paths:
        lines = path.read_text("utf-8", "replace").splitlines()
        words = words_of("\n".join(line for line in lines if not _CREDITS.search(line)))
        yield from (word for word in words if word.isalpha())


_PLUGINS = ("snakemake_interface_executor_plugins", "snakemake_interface_logger_plugins")
_EXECUTORS = tuple(
    f"snakemake_executor_plugin_{name}" for name in ("local", "cluster_generic", "slurm", "slurm_jobstep")
)
_CREDITS = re.compile("author|copyright|@|email", re.IGNORECASE)


@functools.cache
def own_words(root: Path) -> frozenset[str]:
    """Return the words of this project: of its code, its rules, its pages and its configuration.

    Not those that are only looked for in headers, and never written: many of them are names of people, too.
    """
    paths: list[Path] = []
    for pattern in ("Snakefile", "*.smk", "*.md", "*.yaml", "*.toml", "run", "rules/*.smk"):
        paths += root.glob(pattern)
    paths += _files_below(root / "docs", ".md")
    for folder in ("scripts", "schemas", "profiles", "envs"):
        paths += _files_below(root / folder, ".py", ".j2", ".css", ".json", ".yaml", ".lock")
    looked_for = root / "scripts" / "dicomzarr" / "dicom" / "head_words.py"
    return _cached_words("own", [path for path in paths if path != looked_for], _words_of_project)


def _files_below(top: Path, *suffixes: str) -> Iterator[Path]:
    """Yield the files with these suffixes; `Path.glob` would take ten times as long, in each run."""
    for folder, _, names in os.walk(top):
        if os.path.basename(folder) != "__pycache__":
            yield from (Path(folder, name) for name in names if name.endswith(suffixes))


def _words_of_project(paths: Iterable[Path]) -> Iterable[str]:
    words = set(_CALENDAR)
    for path in paths:
        words.update(words_of(path.read_text("utf-8", "replace")))
    # Without the numbers and hashes of lock files, but with MONOCHROME2, uint16 and t2star.
    return {word for word in words if len(word) < MIN_WEIGHT or _OWN_WORD.fullmatch(word)} - _NAMES


@functools.cache
def shipped_parts(root: Path) -> tuple[bytes, ...]:
    """Return what every report page holds as it is: its style, its scripts and Chart.js; longest first.

    Words of these files are no own words: elsewhere they are searched for.
    """
    folder = root / "scripts" / "dicomzarr" / "stages" / "render_report"
    paths = sorted([*folder.glob("*.css"), *folder.glob("*.js"), *folder.glob("vendor/*.js")])
    return tuple(sorted((path.read_bytes() for path in paths), key=lambda data: (-len(data), data)))


_OWN_WORD = re.compile(r"\D+|[a-z]{3,}\d{1,3}|[a-z]\d[a-z_]{3,}")


def _cached_words(name: str, paths: Sequence[Path], read: Callable[[Iterable[Path]], Iterable[str]]) -> frozenset[str]:
    """Return the words of files, from the cache if no file changed."""
    sources = sorted(map(os.fspath, [*paths, Path(__file__)]))
    stats = [(path, status.st_size, status.st_mtime_ns) for path in sources for status in [os.stat(path)]]
    key = hashlib.blake2b(repr(stats).encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
    cache = WORD_LISTS / f"{name}.words"
    try:
        record = digested_json.read_record(cache)
        if record["key"] == key:
            return frozenset(record["words"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    words = frozenset(read(paths))
    with suppress(OSError):  # a read-only installation: the words are read each time
        files.write_atomically(cache, digested_json.record_json({"key": key, "words": sorted(words)}))
    return words


# Names of people in examples of this project: they stay identifiers.
_NAMES = frozenset(words_of("Anna Wolf Jane John Doe Dixon Max Erika Mustermann Smith Mueller Miller"))
_CALENDAR = words_of(
    "Monday Tuesday Wednesday Thursday Friday Saturday Sunday January February March April May June July August"
    " September October November December UTC"
)
