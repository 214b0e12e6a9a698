"""Digest of the code that a script reaches: its syntax tree and that of every core module it imports, directly or not.

Comments, docstrings and positions are left out: an edit of prose reruns nothing, an edit of code reruns the rules that
reach it. The syntax tree is written out here, not by `ast.dump`, whose output differs between versions of Python.
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
# Digests and imports of modules by the digest of their bytes; beside the bytecode, which is made from the same files.
CACHE = Path(__file__).resolve().parent / "__pycache__" / "code_digest.json"
_DATA = ("j2", "css", "js", "onnx", "npz")  # endings of files that a module of their folder reads
# Fields that differ between Python versions or carry no behaviour.
_IGNORED = {"type_comment", "type_ignores", "kind", "type_params", "ctx"}


def _is_docstring(node: object) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


_fields: dict[type, tuple[str, ...]] = {}  # by type of node: the fields that enter the digest


class _TreeReader:
    """One pass over a syntax tree: its text, and the modules of the package that it may import, at any depth.

    Every start of the workflow waits for this, so each node is visited once.
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


@functools.cache
def _file_of(module: str) -> Path | None:
    path = SCRIPTS.joinpath(*module.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


def _read(source: bytes, module: str) -> tuple[str, list[str]]:
    """Return the digest of a module's syntax tree, in hex digits, and the modules of the package that it imports."""
    gc_was_enabled = gc.isenabled()
    gc.disable()  # a tree has no cycles, and thousands of new objects
    try:
        reader = _TreeReader(ast.parse(source), module)
    finally:
        if gc_was_enabled:
            gc.enable()
    return hashlib.sha256("".join(reader.parts).encode()).hexdigest(), sorted(reader.imports)


class _Cache:
    """Results of `_read` from earlier starts, by the SHA-256 of the module's name and bytes; the file may be missing.

    Results of another version of this module are ignored, since it may have read a tree differently.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reader = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
        self._cached: dict[str, tuple[str, list[str]]] = {}
        self._used: dict[str, tuple[str, list[str]]] = {}
        with contextlib.suppress(OSError, ValueError, errors.Damaged):
            record = digested_json.read_record(path)
            self._cached = record["modules"] if record["reader"] == self._reader else {}
        atexit.register(self.save)

    def read(self, source: bytes, module: str) -> tuple[str, list[str]]:
        """Return the result of `_read`, from the cache if it is there."""
        key = hashlib.sha256(module.encode() + b"\0" + source).hexdigest()
        self._used[key] = self._cached.get(key) or _read(source, module)
        return self._used[key]

    def save(self) -> None:
        """Write the cache if it has new entries and the folder is writable."""
        if self._used.keys() - self._cached.keys():
            with contextlib.suppress(OSError):
                record = {"reader": self._reader, "modules": self._used}
                files.write_atomically(self._path, digested_json.record_json(record))


@functools.cache
def _cache() -> _Cache:
    return _Cache(CACHE)


@functools.cache
def _parsed(path: Path, module: str) -> tuple[bytes, tuple[str, ...]]:
    """Return the digest of a module's syntax tree, and the modules of the package that it imports."""
    digest, imports = _cache().read(path.read_bytes(), module)
    return bytes.fromhex(digest), tuple(imports)


def reached(script: str, without: str) -> dict[str, Path]:
    """Return the paths of the core modules that a script reaches, by dotted name, and of the script itself.

    Modules of the package `without` are left out, and what they alone reach.
    """
    paths: dict[str, Path] = {script: SCRIPTS / script}
    to_visit = [script]
    while to_visit:
        name = to_visit.pop()
        for module in _parsed(paths[name], name)[1]:
            path = _file_of(module)
            if without and f"{module}.".startswith(f"{without}."):
                continue
            if path is not None and module not in paths:
                paths[module] = path
                to_visit.append(module)
    return paths


@functools.cache
def _data_of(folder: Path) -> list[bytes]:
    """Return name and content of each file of a folder that is no module, but belongs to them."""
    paths = sorted(path for ending in _DATA for path in folder.glob(f"*.{ending}"))
    return [path.name.encode() + b"\0" + path.read_bytes() for path in paths]


@functools.cache
def code_digest(script: str, without: str = "") -> str:
    """Return the digest, 16 hex digits, of the code that ``scripts/<script>`` reaches.

    Templates, style sheets and scripts of a page, and weights of a network, enter by their bytes if a module of their
    folder is reached. Modules of the package `without` are left out.
    """
    digest = hashlib.sha256()
    folders: set[Path] = set()
    for name, path in sorted(reached(script, without).items()):
        digest.update(name.encode() + b"\0" + _parsed(path, name)[0])
        folders.add(path.parent)
    for folder in sorted(folders):
        for data in _data_of(folder):
            digest.update(data)
    return digest.hexdigest()[:16]
