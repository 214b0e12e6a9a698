"""The digest of the code a script reaches: its own syntax tree and that of every core module it imports.

Comments, docstrings and positions do not count: an edit of prose rebuilds nothing, an edit of behaviour rebuilds what
reaches it. The dump is our own, so that it does not change with the version of Python.
"""

from __future__ import annotations

import ast
import atexit
import contextlib
import functools
import gc
import hashlib
from collections.abc import Iterable
from pathlib import Path

from dicomzarr.system import digested_json, files
from dicomzarr.system.project import SCRIPTS
from dicomzarr.vocabulary import errors

PACKAGE = "dicomzarr"
# What was read before, by the bytes it was read from; beside the bytecode, which is made from the same files.
NOTES = Path(__file__).resolve().parent / "__pycache__" / "code_digest.json"
# Fields that differ between Python versions or carry no behaviour.
_IGNORED = {"type_comment", "type_ignores", "kind", "type_params", "ctx"}


def _is_docstring(node: object) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


_fields: dict[type, tuple[str, ...]] = {}  # that count, by kind of node


class _Reading:
    """One pass over a syntax tree: its text, and the modules of the package that it may import, at any depth.

    Every start that looks at the project's code waits for this, so nothing is visited twice.
    """

    def __init__(self, tree: ast.AST, module: str) -> None:
        self.parts: list[str] = []
        self.imports: set[str] = set()
        self._module = module
        self._node(tree)

    def _node(self, node: ast.AST) -> None:
        kind, add = type(node), self.parts.append
        if kind is ast.Import or kind is ast.ImportFrom:
            self.imports.update(_imported(node, self._module))
        add(kind.__name__)
        add("(")
        if kind not in _fields:
            _fields[kind] = tuple(name for name in node._fields if name not in _IGNORED)
        for name in _fields[kind]:
            value = getattr(node, name, None)
            if value is None or value == []:
                continue
            add(name)
            if isinstance(value, ast.AST):
                self._node(value)
            elif type(value) is list:
                add("[")
                for item in value[1:] if name == "body" and _is_docstring(value[0]) else value:
                    if isinstance(item, ast.AST):
                        self._node(item)
                    else:
                        add(f"{type(item).__name__}:{item!r},")
                add("]")
            else:
                add(f"{type(value).__name__}:{value!r},")
        add(")")


def _imported(node: ast.AST, within: str) -> Iterable[str]:
    """Yield the dotted names below the package that an import may mean."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if alias.name.split(".")[0] == PACKAGE)
    elif isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            parents = within.split(".")[: -node.level]
            base = ".".join([*parents, *([node.module] if node.module else [])])
        if base.split(".")[0] == PACKAGE:
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _file_of(module: str) -> Path | None:
    path = SCRIPTS.joinpath(*module.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


def _read(source: bytes, module: str) -> tuple[str, list[str]]:
    """Return the digest of a module's syntax tree, in hex digits, and what it imports of the package."""
    collecting = gc.isenabled()
    gc.disable()  # a tree has no cycles, and thousands of new objects
    try:
        read = _Reading(ast.parse(source), module)
    finally:
        if collecting:
            gc.enable()
    return hashlib.sha256("".join(read.parts).encode()).hexdigest(), sorted(read.imports)


class _Notes:
    """What `_read` found in earlier starts, by the SHA-256 of the module's name and bytes; they may be missing or lost.

    The notes of another state of this very module count for nothing, since it may have read differently.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reader = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
        self._known: dict[str, tuple[str, list[str]]] = {}
        self._used: dict[str, tuple[str, list[str]]] = {}
        with contextlib.suppress(OSError, ValueError, errors.Damaged):
            kept = digested_json.read_record(path)
            self._known = kept["modules"] if kept["reader"] == self._reader else {}
        atexit.register(self.keep)

    def read(self, source: bytes, module: str) -> tuple[str, list[str]]:
        """Return what `_read` does."""
        key = hashlib.sha256(module.encode() + b"\0" + source).hexdigest()
        self._used[key] = self._known.get(key) or _read(source, module)
        return self._used[key]

    def keep(self) -> None:
        """Write the notes where there are new ones, if the folder lets us."""
        if self._used.keys() - self._known.keys():
            with contextlib.suppress(OSError):
                kept = {"reader": self._reader, "modules": self._used}
                files.write_atomically(self._path, digested_json.record_json(kept))


@functools.cache
def _notes() -> _Notes:
    return _Notes(NOTES)


@functools.cache
def _parsed(path: Path, module: str) -> tuple[bytes, tuple[str, ...]]:
    """Return the digest of a module's syntax tree, and what it imports of the package."""
    digest, imports = _notes().read(path.read_bytes(), module)
    return bytes.fromhex(digest), tuple(imports)


def reached(script: str) -> dict[str, Path]:
    """Return the core modules that a script reaches, by dotted name, and the script itself under its file name."""
    found: dict[str, Path] = {script: SCRIPTS / script}
    waiting = [script]
    while waiting:
        name = waiting.pop()
        for module in _parsed(found[name], name)[1]:
            path = _file_of(module)
            if path is not None and module not in found:
                found[module] = path
                waiting.append(module)
    return found


@functools.cache
def code_digest(script: str) -> str:
    """Return the digest, 16 hex digits, of the code that ``scripts/<script>`` reaches.

    Data files beside the modules (templates, style sheets) count by their bytes where a module of their folder is
    reached.
    """
    digest = hashlib.sha256()
    folders: set[Path] = set()
    for name, path in sorted(reached(script).items()):
        digest.update(name.encode() + b"\0" + _parsed(path, name)[0])
        folders.add(path.parent)
    for folder in sorted(folders):
        for data in sorted(folder.glob("*.j2")) + sorted(folder.glob("*.css")):
            digest.update(data.name.encode() + b"\0" + data.read_bytes())
    return digest.hexdigest()[:16]
