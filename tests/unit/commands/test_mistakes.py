"""Wrong arguments and configuration files: one line that says what was found, where, and what to do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from launched_project import Project

from dicomzarr.vocabulary.errors import ConfigProblem, UserError
from dicomzarr.workflow import config_file

# Files, the line and column that a user must look at, and words of the answer.
FILES: list[tuple[bytes, str, str]] = [
    (b"source: a\n\tresults: b\n", "2:1", "a tab; indent with spaces"),
    (b"source: a\nresults: C: b\n", "2:11", "put the value in quotes"),
    (b"source: a\n  results: b\n", "2:10", "check the indent"),
    (b"a:\n    b: 1\n  c: 2\n", "3:3", "the indent does not fit"),
    (b'source: "a\nresults: b\n', "1:9", "a quotation mark that is not closed"),
    (b"source: 'a\n", "1:9", "a quotation mark that is not closed"),
    (b"source: [a\nresults: b\n", "1:9", "a bracket that is not closed"),
    (b"source: a\nresults b\nlayout: slice\n", "2:1", "a line without `key:`"),
    (b"source:a\nresults: b\n", "2:8", "or the line before: `key: value`"),
    (b"source: a\ncard: {title: CT: head}\n", "2:7", "or a colon in a text without quotes"),
    (b"source: a\nlayout: slice\nsource: b\n", "3:1", "the key 'source' is also in line 1; keep one of them"),
    (b"labels:\n  - file: a\n    file: b\n", "3:5", "the key 'file' is also in line 2"),
    (b"source: *a\n", "1:9", "put the value in quotes"),
    (b"source: %a\n", "1:9", "put it in quotes"),
    (b"source: @a\n", "1:9", "put it in quotes"),
    (b"source: - a\n", "1:9", "`- ` where no list can begin"),
    (b"source: !a b\n", "1:9", "put the value in quotes"),
    (b'source: "C:\\data"\n', "1:13", "use single quotes"),
    (b"source: {{a}}: b\n", "1:14", "put"),
    (b"a: 1\n---\nb: 2\n", "2:1", "a configuration is one document"),
    (b"source: 2001-99-99\n", "1:9", "put it in quotes"),
    ("source: ä\n".encode("latin-1"), "1:9", "not UTF-8; save the file as UTF-8"),
    ("ü: ü\nsource: ü".encode() + b"\xff", "2:10", "not UTF-8"),
    ("source: a\n".encode("utf-16"), "1:1", "this is UTF-16; save the file as UTF-8"),
    (b"source: a\x01b\n", "1:10", "a control character"),
    (b"[" * 1200, "", "too many brackets"),
    (b'{"source": "a", "source": "b"}', "", "the key 'source' is there twice"),
    (b"- source: a\n", "", "is a list, not keys; a configuration file has lines such as"),
    (b"just words\n", "", "is text, not keys"),
    (b"# nothing\n", "", "is empty"),
    (b"", "", "is empty"),
]


@pytest.mark.parametrize(("content", "place", "says"), FILES, ids=[str(number) for number in range(len(FILES))])
def test_what_is_wrong_in_a_file_is_said_in_one_line(tmp_path: Path, content: bytes, place: str, says: str) -> None:
    path = tmp_path / "my.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        config_file.read(path, "my.yaml")
    text = str(caught.value)
    assert says in text and "\n" not in text and "my.yaml" in text
    if place:
        line, _, column = place.partition(":")
        assert text.startswith(f"my.yaml, line {line}, column {column}: ")


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfsource: a\n",  # a byte order mark
        b'{"source":\n\t"a"}\n',  # JSON, with a tab
        b"defaults: &a {x: 1}\nb: {<<: *a}\nc: {<<: *a, x: 2}\nsource: a\n",
        b"source: a\r\nresults: 'b: c'\r\n",
    ],
)
def test_a_file_that_snakemake_reads_is_accepted(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "my.yaml").write_bytes(content)
    assert config_file.read(tmp_path / "my.yaml", "my.yaml")["source"] == "a"


@pytest.mark.parametrize(
    ("key", "place"),
    [
        ("batch.serie", "my.yaml, line 4: "),
        ("batch.series", "my.yaml, line 2: "),  # missing: the line of what it belongs to
        ("labels.1.file", "my.yaml, line 8: "),
        ("source.a.b", "my.yaml, line 10: "),
        ("layout", ""),  # a default
        ("results", ""),  # of --config
    ],
)
def test_a_wrong_value_is_named_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, place: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my.yaml").write_text(
        "# a comment\nbatch:\n  megabytes: 1\n  serie: 1\nlabels:\n  - file: a\n  -\n    file: b\nsource:\n  a.b: c\n"
        "results: d\n"
    )
    arguments = ["--cores", "2", "--configfile", "my.yaml", "--config", "results=x"]
    problem = ConfigProblem(f"config key '{key}' is wrong")
    assert config_file.with_line(problem, arguments) == f"{place}{problem}"
    assert config_file.with_line(problem, [*arguments, "--directory", "x"]) == str(problem)


# ---- By the launcher


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project(tmp_path_factory.mktemp("mistakes")).with_environment()
    here = project.elsewhere
    (here / "folder.yaml").mkdir()
    (here / "a folder").mkdir()
    os.mkfifo(here / "pipe.yaml")
    (here / "secret.yaml").write_text("source: a\n")
    (here / "secret.yaml").chmod(0)
    (here / "bad.yaml").write_text("source: a: b\n")
    return project


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--configfile", "bda.yaml"], "the configuration file 'bda.yaml' does not exist in "),
        (["--configfile", "bda.yaml"], "; the closest is 'bad.yaml'"),
        (["--configfile", "elsewhere/my.json"], "; write one with `source:` and `results:`, as README.md shows"),
        (["--configfile", "folder.yaml"], "'folder.yaml' is a folder; name the configuration file in it"),
        (["--configfile", "pipe.yaml"], "'pipe.yaml' is no file; save the configuration in one"),
        (["demo", "--configfile", "bad.yaml", "--cores", "1"], "bad.yaml"),
        (["demo", "--results", "elsewhere"], "the demo has its own results, demo/results; leave out --results"),
        (["--configfile=bad.yaml", "-n"], "bad.yaml, line 1, column 10: a colon where none can be"),
        (["--configfile"], "--configfile: found nothing, needed is a file"),
        (["--cores", "2", "--configfile", "--config", "a=b"], "--configfile: found nothing"),
        (
            ["export_png", "export_jpg", "--configfile", "my.yaml"],
            "no command or rule 'export_jpg'; the closest is 'exp",
        ),
        (["export_png", "status", "--configfile", "my.yaml"], "the command comes first: ./run status"),
        (["--configfile", "bad.yaml", "export_pgn"], "no command or rule 'export_pgn'; the closest is 'export_png'"),
        (["bad.yaml", "--cores", "2"], "a configuration file needs its option: ./run --configfile bad.yaml"),
        (["a folder"], "a folder needs its option: ./run --config source='a folder', or a --configfile"),
        (["\u2013\u2013cores", "2"], "begins with a long dash; type --cores"),
        (["-dry-run"], "'-dry-run' begins with one dash; type --dry-run"),  # Snakemake's --directory ry-run
        (["-configfile", "my.yaml"], "'-configfile' begins with one dash; type --configfile"),
        (["-json"], "'-json' begins with one dash; type --json"),
        (["--cores", "2", "status"], "the command comes first: ./run status"),
        (["--configfile", "none.yaml", "files"], "the command comes first: ./run files"),
        (["--configfile", "bad.yaml", "all_checked"], "the rule comes first: ./run all_checked"),
        (
            ["--configfile", "bad.yaml", "seal_datasett"],
            "no command or rule 'seal_datasett'; the closest is 'seal_data",
        ),
        (["--config", "a=b", "extract_batch"], "the rule comes first: ./run extract_batch"),
        (
            ["--config", "a=1", "--cores", "1", "-C", "b=2"],
            "--config is there twice, and Snakemake would take the last alone",
        ),
        (["--cores", "abc"], "--cores: found 'abc', needed is a whole number from 1, or all"),
        (["--cores", "0"], "--cores: found '0'"),
        (["--cores", "-3"], "--cores: found '-3'"),
        (["view", "--port", "-1"], "--port: needed is a number from 0 to 65535, not '-1'"),
        (["-c0"], "--cores: found '0'"),
        (["--cores"], "--cores: found nothing"),
        (["--cores", "--config", "a=b"], "--cores: found nothing"),
        (["--config", "source"], "--config: found 'source', needed is a name, = and a value, as in --config source="),
        (["--config", "a=b", "export_pgn"], "no command or rule 'export_pgn'"),
        (
            ["--config", "a=b", "limits.seconds=5"],
            "needs a configuration file: limits: {seconds: ...}, and --configfile",
        ),
        (["--set-threads", "a"], "--set-threads: found 'a', needed is a name, = and a value"),
        (["files", "--reson", "x"], "unknown option '--reson'; the closest is '--reason'. See ./run files --help"),
        (["files", "--reason"], "--reason: found nothing, needed is CODE"),
        (["files", "x"], "unexpected argument 'x'; usage: ./run files "),
        (["report", "--no-open=1"], "--no-open takes no value"),
        (["diff"], "the dataset to compare with is missing: ./run diff OLD"),
        (["diff", "a", "b", "c"], "unexpected argument 'c'; usage: ./run diff "),
    ],
)
def test_a_mistake_has_one_line_and_starts_no_snakemake(project: Project, arguments: list[str], says: str) -> None:
    done = project.run(*arguments, cwd=project.elsewhere)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert done.stderr.startswith("run: ") and says in done.stderr
    assert not project.called("snakemake")


def test_an_unreadable_file_and_broken_defaults_are_named(project: Project) -> None:
    if os.geteuid():
        assert "not readable" in project.run("--configfile", "secret.yaml", cwd=project.elsewhere).stderr
    defaults = project.root / "config.yaml"
    before = defaults.read_text()
    defaults.write_text(before + "source: b\n")
    done = project.run("-n", cwd=project.elsewhere)
    defaults.write_text(before)
    assert done.returncode == 2 and f"run: {defaults}, line " in done.stderr and "'source' is also in" in done.stderr


@pytest.mark.snakemake
@pytest.mark.parametrize(
    ("content", "answer"),
    [
        (None, "the configuration file 'my.yaml' does not exist in "),
        (b"source: [a\n", "my.yaml, line 1, column 9: a bracket that is not closed"),
        (b"\xff\xfea\0", "my.yaml, line 1, column 1: this is UTF-16"),
        (b"- a\n", "the configuration file 'my.yaml' is a list, not keys"),
    ],
)
def test_a_configuration_file_that_a_profile_names_is_checked_too(
    tmp_path: Path, content: bytes | None, answer: str
) -> None:
    (tmp_path / "profile").mkdir()
    (tmp_path / "profile/config.yaml").write_text("configfile: my.yaml\ncores: 2\n")
    if content is not None:
        (tmp_path / "my.yaml").write_bytes(content)
    path = ROOT / "scripts/dicomzarr/commands/run/snakemake_process.py"
    command = [sys.executable, "-P", str(path), "--snakefile", str(ROOT / "Snakefile"), "--profile", "profile"]
    environment = {**os.environ, "DICOMZARR_TERMINAL": "stages"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith(f"run: {answer}") and done.stderr.endswith("a profile names it as configfile:\n")


@pytest.mark.snakemake
@pytest.mark.parametrize("option", ["--profile", "--workflow-profile"])
def test_a_profile_that_is_not_there_is_refused(tmp_path: Path, option: str) -> None:
    """Snakemake ends with 1, or goes on without the settings of the profile."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/config.yaml").write_text("cores: 2\n")
    path = ROOT / "scripts/dicomzarr/commands/run/snakemake_process.py"
    command = [sys.executable, "-P", str(path), "--snakefile", str(ROOT / "Snakefile"), "--list-rules"]
    for name, status in (("slurn", 2), ("mine", 0), ("none", 0)):
        done = subprocess.run([*command, f"{option}={name}"], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == status, done.stderr
        if status:
            assert done.stderr.startswith(
                f"run: {option}: found no profile 'slurn'; needed is a folder with config.yaml"
            )
            assert str(ROOT / "profiles/slurm") in done.stderr and done.stderr.count("\n") == 1
    done = subprocess.run(
        [*command, f"{option}={'x' * 300}"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith(f"run: {option}: ") and "'xxx" in done.stderr
    # Snakemake looks for a profile by pathlib, to which such a name is merely absent since Python 3.14.
    assert "cannot be read: File name too long" in done.stderr or "found no profile" in done.stderr


@pytest.mark.snakemake
def test_snakemake_answers_a_wrong_value_in_one_line(tmp_path: Path) -> None:
    path = ROOT / "scripts/dicomzarr/commands/run/snakemake_process.py"
    command = [sys.executable, "-P", str(path), "--cores", "2", "--rerun-triggers", "nothing"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("run: Snakemake: argument --rerun-triggers: invalid choice: 'nothing'")
