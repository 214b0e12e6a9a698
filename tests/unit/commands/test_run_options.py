"""Which arguments start a run that shows lines of stages, and which are left to Snakemake."""

from __future__ import annotations

import pytest
from snakemake.cli import parse_config

from dicomzarr.commands.launcher.options import results_as_config
from dicomzarr.commands.run.command import is_a_run, results_options, shows_stages
from dicomzarr.vocabulary.errors import UserError


@pytest.mark.parametrize(
    "arguments",
    [
        "",
        "--cores 8 --configfile my.yaml",
        "export_png -c2 -k",
        "--until extract_batch --forcerun check_batch -R seal_dataset",
        "-j 4 --config note=--dry",
        "--keep-going --report-stylesheet x.css",
        "-Rname --executor slurm",
    ],
)
def test_a_run_shows_stages(arguments: str) -> None:
    assert is_a_run(arguments.split()) and shows_stages(arguments.split())


@pytest.mark.parametrize(
    "arguments",
    ["-n", "-np", "-Fn", "--dry", "--dryrun", "--dag", "--list", "-l", "-S", "-D", "--summary", "--report=page.html"]
    + ["--lint", "-h", "--help", "--version", "-v", "--unlock", "--lu", "--touch", "-t", "--cores 2 --archive x.tar"],
)
def test_looking_is_left_to_snakemake(arguments: str) -> None:
    assert not is_a_run(arguments.split()) and not shows_stages(arguments.split())


@pytest.mark.parametrize("arguments", ["--verbose", "--verb", "--logger rich", "--logger=rich", "--debug-dag"])
def test_words_of_snakemake_can_be_asked_for(arguments: str) -> None:
    assert is_a_run(arguments.split()) and not shows_stages(arguments.split())


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ("--cores 8", ""),
        ("--configfile my.yaml", "--configfile my.yaml"),
        ("--configfile my.yaml try.yaml --cores 2", "--configfile my.yaml try.yaml"),
        ("--config source=a results=b --cores 2", "--results b"),
        ("-C results=a=b results=c --configfile=my.yaml --set-threads results=d", "--configfile my.yaml --results c"),
        ("--config=results=b export_png", "--results b"),
        ("--cores 8 --config source=results=b", ""),
    ],
)
def test_a_next_step_finds_the_results(arguments: str, options: str) -> None:
    """Those of a run with `--config results=...` too, whose configuration names another folder."""
    assert results_options(arguments.split()) == options.split()


@pytest.mark.parametrize(
    ("arguments", "changed"),
    [
        ("--cores 8", "--cores 8"),
        ("--results a --cores 8", "--cores 8 --config results=a"),
        ("--results=/a/b=c --cores 8 all", "--cores 8 all --config results=!!str "),
        ("--configfile m.yaml --results a --config faces=keep", "--configfile m.yaml --config results=a faces=keep"),
        ("-C faces=keep --cores 2 --results ./a-b", "-C results=./a-b faces=keep --cores 2"),
        ("--results a -- x", "--config results=a -- x"),
        ("--cores 8 -- --results a", "--cores 8 -- --results a"),
    ],
)
def test_results_become_a_value_of_the_configuration(arguments: str, changed: str) -> None:
    assert " ".join(results_as_config(arguments.split())).startswith(changed)


@pytest.mark.parametrize(
    "folder",
    [
        "prepared",
        "/data/a b: c",
        "2024",
        "1e5",
        "true",
        "nan",
        "null",
        "[x]",
        "*x",
        "~/x",
        "'x'",
        '"',
        "ä #1",
        "a\\n",
        " x ",
    ],
)
def test_snakemake_reads_the_results_as_they_were_typed(folder: str) -> None:
    arguments = results_as_config(["--results", folder, "--cores", "2"])
    pairs = [word for word in arguments if word.startswith("results=")]
    assert parse_config(pairs) == {"results": folder}
    assert results_options(arguments) == ["--results", folder]


@pytest.mark.parametrize(
    "arguments",
    ["--results", "--results=", "--results --cores 2", "--results a --config results=b", "--results a --results=a"],
)
def test_results_that_are_missing_or_given_twice_are_refused(arguments: str) -> None:
    with pytest.raises(UserError, match="^--results"):
        results_as_config(arguments.split())
