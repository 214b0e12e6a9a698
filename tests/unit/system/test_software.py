"""Versions of the packages that may change bytes of the dataset."""

from __future__ import annotations

import importlib.metadata
import os

import pytest

from dicomzarr.system import software


def test_versions_are_those_of_the_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = {name: importlib.metadata.version(name) for name in software.SOFTWARE}
    assert software.software() == installed

    def refuse(folder: str) -> list[str]:
        raise OSError

    monkeypatch.setattr(software, "_versions_in", software._versions_in.__wrapped__)
    monkeypatch.setattr(software, "_installed", installed.__getitem__)
    monkeypatch.setattr(os, "listdir", refuse)  # folders that cannot be listed, or archives
    assert software.software() == installed


def test_folders_are_listed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    before = software.software()

    def refuse(folder: str) -> list[str]:
        raise AssertionError(folder)

    monkeypatch.setattr(os, "listdir", refuse)
    assert software.software() == before
