"""The help of `./run` and of its commands, and the answer to a mistyped one: see `command_table.py`.

In the syntax of Python 3.6, without `from __future__ import annotations`.
"""

import os
import re

from dicomzarr.commands.launcher.command_table import (
    BY_NAME,
    COMMANDS,
    EXIT_CODES,
    EXPORTS,
    OF_A_RUN,
    ONE_ON_FAILURE,
    RUN,
    TARGETS,
    Command,
)

OVERVIEW = """\
./run: from folders of DICOM to a verified OME-Zarr dataset
First try   ./run demo
Your data   ./run --cores 8 --configfile my.yaml

{commands}

  --configfile FILE   your source, results and options
  --cores N           cores to use; all if left out
  -n                  list the jobs of a run, and run none
More on each: ./run status --help; pages: docs/README.md
"""
HELP = ("help", "--help", "-h")
OF_THE_PROJECT = ("bench", "test", "check", "snakemake")  # commands that share a line of the overview


def overview() -> str:
    """Return the help of `./run`: one screen of 24 lines and 60 columns."""
    lines = []
    for command in COMMANDS:
        if command.name == EXPORTS[0][0]:
            lines.append("  export_*   " + ", ".join(name[len("export_") :] for name, _, _ in EXPORTS))
        elif command.name == OF_THE_PROJECT[0]:
            lines.append("  {:<11}{} (to work on the project)".format(command.name, ", ".join(OF_THE_PROJECT[1:])))
        elif not command.name.startswith("export_") and command.name not in OF_THE_PROJECT:
            lines.append(f"  {command.name:<11}{command.summary}")
    return OVERVIEW.format(commands="\n".join(lines))


def help_of(command: Command, columns: int) -> str:
    """Return the help of a command, in lines of at most so many columns."""
    import textwrap

    def wrapped(text: str, first: str = "", other: str = "") -> "list[str]":
        return textwrap.wrap(text, columns, initial_indent=first, subsequent_indent=other, break_on_hyphens=False)

    lines = wrapped(usage_of(command), "", "    ")
    lines += ["", *wrapped(command.text)]
    if command.options:
        names = [", ".join(filter(None, (o.short, (o.name + " " + o.value).strip()))) for o in command.options]
        width = max(map(len, names)) + 4
        lines.append("")
        for name, option in zip(names, command.options):  # noqa: B905 (since Python 3.10)
            lines += wrapped(option.text, "  {:<{}}".format(name, width - 2), " " * width)
    lines.append("")
    if command.passes_on and command.name != "snakemake":
        own = {"Snakemake": "./run snakemake --help", "pytest": "docs.pytest.org"}.get(command.passes_on, "")
        lines += wrapped("Further arguments go to {}{}".format(command.passes_on, own and ": " + own))
    if command.exits == OF_A_RUN:
        lines += wrapped("Exit codes are those of a run: ./run help run")
    else:
        lines += wrapped("Exit codes: " + (command.exits or " ".join("{}: {}.".format(*code) for code in EXIT_CODES)))
    lines += [("Example: " if number == 0 else " " * 9) + text for number, text in enumerate(command.examples)]
    return "\n".join(lines) + "\n"


def usage_of(command: Command) -> str:
    """Return how a command is called."""
    return " ".join(filter(None, ("./run", command.name, command.usage)))


def asked_help(arguments: "list[str]") -> str:
    """Return the help that the arguments ask for; empty if they ask for none.

    `./run snakemake --help` asks Snakemake.
    """
    first = arguments[0] if arguments else "help"
    if first in HELP and len(arguments) <= 1:
        return overview()
    if first == "help":
        return help_of(RUN if arguments[1] == "run" else BY_NAME[arguments[1]], columns_of_terminal())
    before = arguments[: arguments.index("--")] if "--" in arguments else arguments
    if first == "snakemake" or not {"--help", "-h"} & set(before):
        return ""
    return help_of(BY_NAME.get(first, RUN), columns_of_terminal())


def columns_of_terminal() -> int:
    """Return the columns of the terminal, 40 to 80; 80 if there is none."""
    try:
        columns = int(os.environ.get("COLUMNS") or os.get_terminal_size(1).columns)
    except (ValueError, OSError):
        columns = 80
    return min(max(columns, 40), 80)


def mistyped(arguments: "list[str]", folder: str, root: str) -> str:
    """Return a message if the first argument is no command, and no rule or file that Snakemake could make; else "".

    Further words, up to the first option, are looked at too where the first is a rule, as in `export_png export_npz`.

    Parameters
    ----------
    arguments : list of str
        Those of `./run`.
    folder : str
        The folder in which it was started.
    root : str
        The folder of the launcher, where the rules are.
    """
    name = arguments[0] if arguments else ""
    if name == "help" and len(arguments) > 1:
        if arguments[1] in BY_NAME or arguments[1] == "run":
            return ""
        return f"there is no command {arguments[1]!r}{closest(arguments[1], BY_NAME)}. See ./run help"
    is_word = re.match(r"[A-Za-z][\w-]*$", name) and name != "help"
    if not is_word or name in BY_NAME and name not in TARGETS or os.path.exists(os.path.join(folder, name)):
        return ""
    if any(argument in ("-s", "--snakefile") or argument.startswith("--snakefile=") for argument in arguments):
        return ""
    rules = names_of_rules(root)
    if name in rules:
        return mistyped(arguments[1:], folder, root)
    if name == "run":
        return "a run needs no command: ./run --cores 8 --configfile my.yaml. See ./run help"
    known = [command.name for command in COMMANDS] + ["help"] + rules
    return f"there is no command or rule {name!r}{closest(name, known)}. See ./run help"


def closest(name: str, known: "object") -> str:
    """Return the end of a message that names the closest known names; empty if none is close."""
    import difflib

    names = sorted(filter(None, set(known)))  # type: ignore[call-overload]
    wanted = name.lower().replace("-", "_") if name[:1] != "-" else name.lower()
    near = [each for each in names if len(wanted) > 2 and each.startswith(wanted)]
    near = near if 0 < len(near) <= len(EXPORTS) else difflib.get_close_matches(wanted, names, n=1)
    if len(near) > 1:
        return "; the closest are " + ", ".join(map(repr, near))
    return f"; the closest is {near[0]!r}" if near else ""


def names_of_rules(root: str) -> "list[str]":
    """Return the names of all rules, which are possible targets."""
    names = []
    rules = os.path.join(root, "rules")
    for path in [os.path.join(root, "Snakefile")] + [os.path.join(rules, name) for name in sorted(os.listdir(rules))]:
        if path.endswith(("Snakefile", ".smk")):
            with open(path, encoding="utf-8") as file:
                names += re.findall(r"^(?:rule|checkpoint) (\w+):", file.read(), flags=re.MULTILINE)
    return names


def status_of_failure(arguments: "list[str]") -> int:
    """Return the exit code of an error before or instead of a command."""
    return 1 if arguments[:1] and arguments[0] in ONE_ON_FAILURE else 2
