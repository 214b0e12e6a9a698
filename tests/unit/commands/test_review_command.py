"""`./run review` without a browser: lists, decides, and refuses what is wrong."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from reviewed_results import CT, SECRET, content, everything, write_results
from viewed_dataset import SCRIPTS

from dicomzarr.commands.launcher.json_forms import FORMS
from dicomzarr.commands.review import WARNING, run_review
from dicomzarr.records import decisions
from dicomzarr.system.results_folder import Results
from dicomzarr.vocabulary.errors import UserError


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Results:
    monkeypatch.chdir(tmp_path)
    return write_results(tmp_path / "results")


def table(results: Results) -> dict[str, str]:
    return decisions.read(results.private / "decisions.csv")


def test_the_list_has_a_line_for_each_image_and_changes_nothing(
    results: Results, capsys: pytest.CaptureFixture[str]
) -> None:
    before = everything(results.root)
    assert run_review(["--list"]) == 0
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert [line.split("  ")[0] for line in lines] == [content(1), content(2), content(3)]
    assert lines[0].split(None, 4)[1:4] == ["undecided", "CT", CT]
    assert "frame 1: rows 10 to 24, columns 30 to 120, by strokes; frame 3: rows" in lines[0]
    assert "keep them on site" in printed.err and SECRET not in printed.out + printed.err
    assert everything(results.root) == before


def test_decisions_are_written_changed_and_undone(results: Results, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_review(["--keep", content(1), content(2)[:8], "--set-aside", content(3)]) == 0
    assert table(results) == {content(1): "keep", content(2): "keep", content(3): "set_aside"}
    assert capsys.readouterr() == ("", "3 decisions changed, 0 undecided; the next run applies them: ./run\n")
    assert run_review(["--keep", content(1), content(3)]) == 0
    assert capsys.readouterr().err.startswith("1 decision changed, 0 undecided; the next run applies it")
    assert run_review(["--undo", content(2)]) == 0
    assert table(results) == {content(1): "keep", content(3): "keep"}
    assert capsys.readouterr().err.startswith("1 decision changed, 1 undecided")
    assert run_review(["--set-aside", content(2), "--configfile", "my own.yaml", "--results", "results"]) == 0
    assert capsys.readouterr().err.endswith(": ./run --configfile 'my own.yaml'\n")
    assert run_review(["--undo", content(2)]) == 0
    capsys.readouterr()
    before = everything(results.root)
    assert run_review(["--keep", content(1), "--configfile", "my.yaml", "--results", "results"]) == 0
    assert capsys.readouterr().err == "0 decisions changed, 1 undecided; nothing to apply\n"
    assert everything(results.root) == before


def test_an_applied_decision_can_be_undone(results: Results, capsys: pytest.CaptureFixture[str]) -> None:
    """After a run, a file that was kept is in no list any more; its decision is."""
    decisions.write(results.private / "decisions.csv", {content(7): "keep"})
    run_review(["--list"])
    assert f"{content(7)}  keep       -     -                 not set aside now" in capsys.readouterr().out
    assert run_review(["--undo", content(7)]) == 0
    assert table(results) == {}


def test_json_has_the_documented_fields(results: Results, capsys: pytest.CaptureFixture[str]) -> None:
    decisions.write(results.private / "decisions.csv", {content(7): "keep"})
    before = everything(results.root)
    assert run_review(["--json"]) == 0
    assert everything(results.root) == before
    printed = json.loads(capsys.readouterr().out)
    fields = {re.split(r"[.\[]", name)[0] for name, _ in FORMS["review"]}
    assert printed.keys() == fields
    of_images = {name.removeprefix("images[].").removesuffix("[]") for name, _ in FORMS["review"] if "images" in name}
    assert all(image.keys() == of_images for image in printed["images"])
    first = printed["images"][0]
    assert first["boxes"][1] == {"frame": 2, "top": 1, "left": 2, "bottom": 3, "right": 4, "by": "network"}
    assert (results.private / first["picture"]).is_file() and printed["images"][1]["picture"] == ""
    assert printed["elsewhere"] == [{"content": content(7), "decision": "keep"}]
    assert run_review(["--keep", content(1), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["changed"], printed["undecided"], printed["images"][0]["decision"]) == (1, 2, "keep")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--keep", "6" * 64], "no image '" + "6" * 64 + "' is listed: see ./run review --list"),
        (["--keep", content(9)], "is listed"),  # it is extracted
        (["--keep", "0000"], "found '0000', needed are 8 digits"),
        (["--keep", content(1)[:7]], "needed are 8 digits"),
        (["--keep", "../../key"], "no image '../../key' is listed"),
        (["--keep", content(1), "--undo", content(1)], "another option decides otherwise"),
        (["--keep", content(1), "6" * 64], "nothing was written"),
        (["--keep"], "--keep: found nothing, needed is CONTENT. See"),
        (["--list", "--keep", content(1)], "--list and decisions exclude each other"),
        (["--port", "99999"], "a number from 0 to 65535"),
        (["--kep", content(1)], "the closest is '--keep'"),
        ([content(1)], "unexpected argument"),
    ],
)
def test_a_mistake_writes_nothing(results: Results, arguments: list[str], message: str) -> None:
    before = everything(results.root)
    with pytest.raises(UserError) as error:
        run_review(arguments)
    assert message in str(error.value)
    assert everything(results.root) == before


def test_two_images_that_begin_alike_need_more_digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    results = write_results(tmp_path / "results")
    alike = content(1)[:-1] + "6"
    decisions.write(results.private / "decisions.csv", {alike: "keep"})
    with pytest.raises(UserError, match="2 images begin with '00000001'"):
        run_review(["--keep", content(1)[:8]])


def test_a_damaged_table_is_named_and_kept(results: Results) -> None:
    (results.private / "decisions.csv").write_text(f"content,decision\n{content(1)},{SECRET}\n")
    for arguments in (["--list"], ["--undo", content(1)], []):
        with pytest.raises(UserError) as error:
            run_review(arguments)
        assert "line 2, column decision" in str(error.value) and SECRET not in str(error.value)


def test_without_results_or_images_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_review([]) == 1
    assert "there is no folder 'results' yet" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "results" / "private" / "records" / "extract_batch").mkdir(parents=True)
    for arguments in ([], ["--list"]):
        assert run_review(arguments) == 0
        assert capsys.readouterr() == ("", "No image is set aside for text in its pixels\n")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_who_may_not_read_private_is_told(results: Results, capsys: pytest.CaptureFixture[str]) -> None:
    results.private.chmod(0)
    try:
        assert run_review(["--list"]) == 1
    finally:
        results.private.chmod(0o700)
    assert "is not readable by this user" in capsys.readouterr().err


def test_a_reader_that_has_enough_is_no_error(results: Results) -> None:
    """As in `./run review --list | head -0`: the exit status of every program of a pipe, and no message."""
    end, start = os.pipe()
    os.close(end)
    command = [sys.executable, "-P", "-m", "dicomzarr.commands", "review", "--list", "--results", str(results.root)]
    try:
        done = subprocess.run(
            command, check=False, env=os.environ | {"PYTHONPATH": str(SCRIPTS)}, stdout=start, stderr=subprocess.PIPE
        )
    finally:
        os.close(start)
    assert (done.returncode, done.stderr.decode().splitlines()) == (141, [WARNING])
