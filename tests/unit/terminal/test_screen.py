"""Lines that fit a screen, and what is never broken: paths, and commands that a user copies."""

from __future__ import annotations

from dicomzarr.terminal.screen import Screen

STEP = "see what could not be used: ./run files --outcome quarantined --configfile {}"


def test_a_command_is_never_broken_since_a_copy_of_one_line_would_be_another_command() -> None:
    assert Screen().wrapped("next step", STEP.format("demo/config.yaml"), 14) == [
        "next step     see what could not be used:",
        "              ./run files --outcome quarantined --configfile demo/config.yaml",
    ]
    long = "/data/" + "a" * 60 + ".yaml"
    command = f"  ./run files --outcome quarantined --configfile {long}"
    assert Screen().wrapped("next step", STEP.format(long), 14) == [
        "next step     see what could not be used:", command,
    ]  # fmt: skip
    assert Screen().wrapped("", STEP.format(long), 14) == [f"{'':14}see what could not be used:", command]
    short = "open the report: ./run report --configfile my.yaml"
    assert Screen().wrapped("", short, 14) == [f"{'':14}{short}"]


def test_words_are_wrapped_below_themselves_and_paths_are_whole() -> None:
    words = "decide whether 19 arrays that may show a face may stay: keys faces and faces_reason"
    assert Screen().wrapped("", words, 14) == [
        f"{'':14}decide whether 19 arrays that may show a face may stay: keys faces",
        f"{'':14}and faces_reason",
    ]
    path = "/data/" + "b" * 90
    assert Screen().wrapped("report", path, 14) == ["report", f"  {path}"]
