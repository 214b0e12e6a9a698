"""`./run retrieve`: which folder it fills, and what it refuses before it asks a server."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import yaml
from faulty_pacs import HASTY, FaultyPacs, serving

from dicomzarr.commands.launcher.command_table import BY_NAME
from dicomzarr.commands.launcher.options import parse
from dicomzarr.commands.retrieve import _place, run_retrieve
from dicomzarr.system import safe_messages
from dicomzarr.vocabulary.errors import UserError


@pytest.fixture(autouse=True)
def _process(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the command changes in its process for good, left as it was for other tests: logging, and core dumps."""
    monkeypatch.setattr(safe_messages, "silence_libraries", lambda: None)
    monkeypatch.setattr(logging.root.manager, "disable", logging.NOTSET)


DICOMWEB = {"url": "https://zyxpacs.example.org/dicom-web", "studies": "wanted.csv"}


def configure(folder: Path, **config: Any) -> list[str]:
    path = folder / "my.yaml"
    path.write_text(yaml.safe_dump({"results": "results", "source": "pacs", "dicomweb": DICOMWEB, **config}))
    return ["--configfile", str(path)]


def test_the_folder_is_the_source_or_the_one_of_its_label(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    sources = {"a": "disk", "b": "pacs"}
    for config in ({}, {"source": sources, "dicomweb": {**DICOMWEB, "label": "b"}}):
        place = _place(parse(BY_NAME["retrieve"], configure(tmp_path, **config)))
        assert (place.source, place.results.root) == (tmp_path / "pacs", Path("results"))


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"dicomweb": {}}, "config key 'dicomweb.url' is missing"),
        ({"dicomweb": {"url": DICOMWEB["url"]}}, "config key 'dicomweb.studies' is missing"),
        ({"dicomweb": {**DICOMWEB, "url": "https://u:p@zyxpacs/"}}, "line 3: config key 'dicomweb.url': it holds"),
        ({"dicomweb": {**DICOMWEB, "label": "b"}}, "there is only one source"),
        ({"source": {"a": "x", "b": "y"}}, "needed is the label of the folder to fill: one of a, b"),
        ({"source": "s3://bucket/x"}, "fills a folder of this machine"),
        ({"source": "~/pacs"}, "holds ~, which is not expanded"),
        ({"source": "results/pacs"}, "lie within each other"),
        ({"source": "my.yaml"}, "it is no folder"),
        ({}, "the list: it cannot be read, or does not exist"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: dict[str, Any], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as caught:
        run_retrieve(configure(tmp_path, **config))
    text = str(caught.value)
    assert says in text and "\n" not in text and "zyxpacs" not in text
    assert {path.name for path in tmp_path.iterdir()} == {"my.yaml"}


def test_a_server_that_is_down_leaves_no_source_that_looks_filled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wanted.csv").write_text("StudyInstanceUID\n1.2.3\n")
    with serving(FaultyPacs([])) as pacs:
        pass  # nobody listens there any more
    arguments = configure(tmp_path, dicomweb={"url": pacs.url, "studies": "wanted.csv"})
    assert run_retrieve(arguments, HASTY) == 1 and not (tmp_path / "pacs").exists()
    told = capfd.readouterr().err
    assert "trying again" in told and "repeat the command. Files that" in told and "127.0.0.1" not in told
    (tmp_path / "pacs").mkdir()
    assert run_retrieve(arguments, HASTY) == 1 and (tmp_path / "pacs").is_dir()  # it was the user's
