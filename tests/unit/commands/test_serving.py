"""Pages that are served until a signal: which browser opens them."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import tornado.httpserver
import tornado.web

from dicomzarr.commands import browser, serving


def start(port: int) -> tuple[tornado.httpserver.HTTPServer, int]:
    return tornado.httpserver.HTTPServer(tornado.web.Application()), port


def test_a_program_of_the_environment_opens_the_page_without_a_screen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As over SSH from an editor, which sets $BROWSER; `./run report` did so, `view` and `review` did not."""
    program = tmp_path / "program"
    program.write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/opened\nkill -TERM {os.getpid()}\n')
    program.chmod(0o755)
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("BROWSER", f"{program} %s")
    monkeypatch.setattr("webbrowser._tryorder", None)  # it is read once
    signal.alarm(20)
    try:
        assert serving.serve(start, 0, lambda port: "http://127.0.0.1/page", opens=True) == signal.SIGTERM
    finally:
        signal.alarm(0)
    assert (tmp_path / "opened").read_text() == "http://127.0.0.1/page\n"


def test_a_browser_of_the_terminal_is_not_started(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.setenv(name, "")
    assert not browser.opened("http://127.0.0.1/page")
