"""Which arguments start a run that shows lines of stages, and which are left to Snakemake."""

from __future__ import annotations

import pytest

from dicomzarr.commands.run.command import is_a_run, results_options, shows_stages


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
