"""Tests of a file that run in another order than they are written find what their file shares as it was.

A process of pytest-xdist that has nothing left takes the last tests of another one, and later some that stand before
those in the same file. What the tests of a file share, such as a dataset that some of them change, is built again then.
"""

from __future__ import annotations

from collections.abc import Generator

import pytest


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None]:
    """End what the file shares if the next test stands before this one in the same file."""
    yield
    if nextitem and nextitem.path == item.path and _place(nextitem) < _place(item):
        item.session._setupstate.teardown_exact(item.session)  # type: ignore[arg-type]


_PLACES = pytest.StashKey[dict[str, int]]()


def _place(item: pytest.Item) -> int:
    """Return the number of a test in the order in which all were collected."""
    stash = item.session.stash
    if _PLACES not in stash:
        stash[_PLACES] = {each.nodeid: number for number, each in enumerate(item.session.items)}
    return stash[_PLACES][item.nodeid]
