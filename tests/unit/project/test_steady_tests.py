"""No test can fail by chance: none is a race against the clock, and all draw their data from a seed."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT
from waiting import HANG

TESTS = sorted((ROOT / "tests").rglob("*.py"))
CLOCKS = {"monotonic", "perf_counter", "time"}
WAITS = {"wait", "join", "communicate", "acquire", "get"}
DRAWS = {"urandom", "uuid4", "token_hex", "token_bytes", "generate_uid"}
# Limits that decide nothing: a process is killed after it, and the key of a cluster.
MAY = {("forks.py", "wait"), ("slurm_cluster.py", "urandom"), ("waiting.py", "monotonic"), ("browsers.py", "monotonic")}


def name_of(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def is_short(node: ast.expr) -> bool:
    """Return whether a number of seconds is a limit; less than one is the pace of a loop."""
    return isinstance(node, ast.Constant) and isinstance(node.value, int | float) and 1 <= node.value < HANG


def called(node: ast.AST) -> Iterator[ast.Call]:
    return (each for each in ast.walk(node) if isinstance(each, ast.Call))


def races(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Yield name and line of what fails on a slow machine, or on another draw."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert):
            for compared in (each for each in ast.walk(node) if isinstance(each, ast.Compare)):
                is_limit = any(isinstance(operator, ast.Lt | ast.LtE) for operator in compared.ops)
                clocks = {name_of(call.func) for call in called(compared)} & CLOCKS
                yield from ((clock, node.lineno) for clock in clocks if is_limit)
        if not isinstance(node, ast.Call):
            continue
        name = name_of(node.func)
        if any(each.arg == "timeout" and is_short(each.value) for each in node.keywords):
            yield name, node.lineno
        if name in WAITS and isinstance(node.func, ast.Attribute) and node.args and is_short(node.args[0]):
            yield name, node.lineno
        if name in DRAWS and not node.keywords or name == "default_rng" and not node.args:
            yield name, node.lineno


def test_nothing_depends_on_speed_or_chance() -> None:
    found = []
    for path in TESTS:
        for name, line in races(ast.parse(path.read_text("utf-8"))):
            if (path.name, name) not in MAY:
                found.append(f"{path.name}, line {line}: {name}")
    assert not found, "wait with `wait_until` and `HANG` of support/waiting.py; draw from a seed"


@pytest.mark.parametrize(
    "code",
    [
        "assert time.monotonic() - began < 2",
        "assert 1 < perf_counter() - began <= 2",
        "process.wait(timeout=10)",
        "process.wait(10)",
        "get(url, timeout=5.0)",
        "os.urandom(9)",
        "np.random.default_rng()",
    ],
)
def test_what_depends_on_them_is_found(code: str) -> None:
    assert [*races(ast.parse(code))]


BACKWARDS = """
from going_back import pytest_runtest_teardown

def pytest_runtestloop(session):
    items = [*reversed(session.items), None]
    for item, following in zip(items, items[1:]):
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
    return True
"""
SHARING = """
import pytest

@pytest.fixture(scope="session")
def once():
    return []

@pytest.fixture(scope="module")
def shared(once):
    once.append(0)
    yield []
    once.append(1)

def test_a(shared, once):
    assert (shared, once) == ([], [0, 1, 0])

@pytest.mark.parametrize("number", [1, 2])
def test_b(shared, once, number):
    assert shared == []
    shared.append(number)
    del once[:-1]
"""


def test_what_a_file_shares_is_built_again_if_its_tests_go_back(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(BACKWARDS)
    (tmp_path / "test_sharing.py").write_text(SHARING)
    environment = os.environ | {"PYTHONPATH": str(ROOT / "tests" / "support")}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "-p", "no:cacheprovider", "--rootdir", "."]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert "3 passed" in done.stdout, done.stdout


def test_other_code_is_not_found() -> None:
    code = "assert time.monotonic() - began >= 2; stop.wait(0.05); process.wait(timeout=HANG); default_rng(1)"
    assert not [*races(ast.parse(code))]


def test_programs_of_tests_heed_signals_that_whoever_starts_the_tests_ignores() -> None:
    """As nohup and `&` in a script do: a program that ignores a signal does not end by it, and its test waits."""
    program = "import conftest, signal; print(*[signal.getsignal(n) is signal.SIG_IGN for n in conftest.STOPPING])"
    done = subprocess.run(
        ["sh", "-c", 'trap "" INT TERM HUP QUIT; exec "$@"', "sh", sys.executable, "-c", program],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(map(str, (ROOT / "tests", ROOT / "tests/support", ROOT / "scripts"))),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "False False False False\n"
