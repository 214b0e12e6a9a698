"""The digest of the code a script reaches: its own syntax tree and that of every core module it imports.

Comments, docstrings and positions do not count: an edit of prose rebuilds nothing, an edit of behaviour rebuilds what
reaches it. The dump is our own, so that it does not change with the version of Python.
"""

from __future__ import annotations

import ast
import functools
import hashlib
from collections.abc import Iterable
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[1]
PACKAGE = "dicomzarr"
# Fields that differ between Python versions or carry no behaviour.
_IGNORED = {"type_comment", "type_ignores", "kind", "type_params", "ctx"}


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _dump(node: object) -> str:
    if isinstance(node, ast.AST):
        fields = []
        for name, value in ast.iter_fields(node):
            if name in _IGNORED or value is None or value == []:
                continue
            if name == "body" and isinstance(value, list) and value and _is_docstring(value[0]):
                value = value[1:]
            fields.append(f"{name}={_dump(value)}")
        return f"{type(node).__name__}({','.join(fields)})"
    if isinstance(node, list):
        return "[" + ",".join(_dump(item) for item in node) + "]"
    return f"{type(node).__name__}:{node!r}"


def _imports(tree: ast.AST, within: str) -> Iterable[str]:
    """Yield the dotted names below the package that `tree` may import, at any depth of the code."""
    for node in ast.walk(tree):
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
def _parsed(path: Path, module: str) -> tuple[str, tuple[str, ...]]:
    tree = ast.parse(path.read_bytes())
    return _dump(tree), tuple(sorted(set(_imports(tree, module))))


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
        digest.update(f"{name}\0{_parsed(path, name)[0]}\0".encode())
        folders.add(path.parent)
    for folder in sorted(folders):
        for data in sorted(folder.glob("*.j2")) + sorted(folder.glob("*.css")):
            digest.update(data.name.encode() + b"\0" + data.read_bytes())
    return digest.hexdigest()[:16]
