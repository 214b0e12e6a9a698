"""The digest of the code a script reaches: its own syntax tree and that of every core module it imports.

Comments, docstrings and positions do not count: an edit of prose rebuilds nothing, an edit of behaviour rebuilds what
reaches it. The dump is our own, so that it does not change with the version of Python.
"""

from __future__ import annotations

import ast
import functools
import gc
import hashlib
from collections.abc import Iterable
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[1]
PACKAGE = "dicomzarr"
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


@functools.cache
def _parsed(path: Path, module: str) -> tuple[bytes, tuple[str, ...]]:
    """Return the digest of a module's syntax tree, and what it imports of the package."""
    collecting = gc.isenabled()
    gc.disable()  # a tree has no cycles, and thousands of new objects
    try:
        read = _Reading(ast.parse(path.read_bytes()), module)
    finally:
        if collecting:
            gc.enable()
    return hashlib.sha256("".join(read.parts).encode()).digest(), tuple(sorted(read.imports))


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
