"""The commands of `./run`: what each does, its options and exit codes, and where it is.

The launcher's help, its answer to a mistyped command and docs/commands.md come from these tables (`help_texts.py`).
`run` imports both modules before there is an environment, also with a Python too old for the rest: the syntax is that
of Python 3.6, without `from __future__ import annotations`, and nothing is imported that takes long.
"""

from typing import NamedTuple


class Option(NamedTuple):
    """An option of a command."""

    name: str
    value: str  # the name of its value in the help; empty for a switch
    text: str
    short: str = ""


class Command(NamedTuple):
    """A command of `./run`.

    Attributes
    ----------
    name : str
        Empty for a run of the workflow, which needs no command.
    usage : str
        What may follow the command.
    summary : str
        One line of the overview.
    text : str
        What it does, in full sentences.
    options : tuple of Option
        Those that people need.
    exits : str
        Exit codes that differ from those of a run.
    examples : tuple of str
    module, function : str
        Where it is: a module of this package and a function in it.
    passes_on : str
        Whose further arguments it takes: `Snakemake`, `pytest`, or nobody's (empty).
    most_positional : int
        The most arguments that are no options, for commands that pass nothing on.
    """

    name: str
    usage: str
    summary: str
    text: str
    options: "tuple[Option, ...]"
    exits: str
    examples: "tuple[str, ...]"
    module: str
    function: str
    passes_on: str = ""
    most_positional: int = 0


CONFIGFILE = Option("--configfile", "FILE", "your configuration; without one, the defaults in config.yaml")
CORES = Option("--cores", "N", "processor cores to use; all of them if this is left out", "-c")
DRY_RUN = Option("--dry-run", "", "list the jobs of a run, and run none", "-n")
CONFIG = Option("--config", "KEY=VALUE", "single values, instead of those in the configuration file")
RESULTS = Option("--results", "FOLDER", "the results folder, instead of that of the configuration")
JSON = Option("--json", "", "print one JSON object, for programs")
COPY = Option("--dataset", "PLACE", "a dataset folder, https://... or s3://...; without private/ and configuration")
NO_OPEN = Option("--no-open", "", "print only, and open no browser")
AGAIN = Option("--again", "", "retrieve also what is there, and replace what the server has changed")
RUN_JSON = Option("--json", "", "print one JSON object about the run, for programs")
VERBOSE = Option("--verbose", "", "print all that Snakemake says too")
DECIDE = (
    Option("--keep", "CONTENT...", "extract these images: their text identifies nobody"),
    Option("--set-aside", "CONTENT...", "leave these images out, whatever is found in them"),
    Option("--undo", "CONTENT...", "remove what was decided about these images"),
)
FOR_A_RUN = (CONFIGFILE, RESULTS, CORES, DRY_RUN, CONFIG, VERBOSE, RUN_JSON)
LIKE_A_RUN = (CONFIGFILE, CONFIG, RESULTS)

EXIT_CODES = (
    (0, "every image that can be extracted is extracted and checked; every other entry has a reason"),
    (1, "the run is not complete, or the gate found more than allowed; the message says what to do"),
    (2, "./run could not start: a mistyped command or option, the configuration file, Python, the environment"),
    (129, "ended by SIGHUP, since the terminal was closed or ssh was cut; `nohup ./run ...` goes on"),
    (130, "ended by Ctrl-C"),
    (131, "ended by SIGQUIT, as Ctrl and backslash send it"),
    (143, "ended by SIGTERM, as a service manager or a queue sends it"),
)
OF_A_RUN = "as a run"

EXPORTS = (
    ("export_png", "PNG", "Lossless PNG: 16 bits for 9 to 16, 8 bits for 8 or fewer, RGB for colour."),
    ("export_npz", "NPZ", "One NPZ archive for each series, for numpy.load."),
    ("export_nifti", "NIfTI", "NIfTI of regular volumes and their masks, with affine, slope and intercept."),
    ("export_preview", "previews", "8 bits through a window, to look at: values are lost."),
    ("export_nnunet", "a training set for nnU-Net", "Images, label maps and splits for nnU-Net v2; needs `nnunet`."),
    ("export_monai", "a datalist for MONAI", "A MONAI datalist of what export_nnunet writes; needs `nnunet`."),
)

PUBLISH = "publish"
TARGETS = (*(name for name, _, _ in EXPORTS), PUBLISH)  # commands that are rules: several may be named at once


def _export(name: str, what: str, text: str) -> Command:
    return Command(
        name=name,
        usage="[arguments of a run]",
        summary="update the dataset, then export " + what,
        text=text + " Several exports can be named at once: docs/exports.md.",
        options=FOR_A_RUN,
        exits=OF_A_RUN,
        examples=("./run " + name + " --cores 8 --configfile my.yaml",),
        module="run.command",
        function="run_snakemake",
        passes_on="Snakemake",
    )


RUN = Command(
    name="",
    usage="[arguments of a run]",
    summary="bring the dataset up to date",
    text="Reads the source folders and brings the dataset up to date: only what is new or changed is extracted. After "
    "an interruption, start the same command again. Names of exports and rules may be added, before --configfile.",
    options=FOR_A_RUN,
    exits="",
    examples=("./run --cores 8 --configfile my.yaml",),
    module="run.command",
    function="run_snakemake",
    passes_on="Snakemake",
)
COMMANDS = (
    Command(
        name="demo",
        usage="[arguments of a run]",
        summary="run on a built-in data set (1 min)",
        text="Writes a data set of test images, runs the workflow on it, and prints a table of the results. All of it "
        "is in demo/ beside the launcher, or in the current folder if you cannot write there; delete that folder when "
        "you like.",
        options=(CORES, DRY_RUN, VERBOSE, RUN_JSON),
        exits=OF_A_RUN,
        examples=("./run demo", "./run report --results demo/results"),
        module="demo.command",
        function="run_demo",
        passes_on="Snakemake",
    ),
    Command(
        name="retrieve",
        usage="[-n] [--again] [--json] [--configfile FILE]",
        summary="fill the source from a DICOMweb server",
        text="Asks the server of `dicomweb` for what a list names, and retrieves into the source folder what is not "
        "there yet, each file compared with what was asked for. After an interruption, start the same command again. "
        "Credentials come from the environment: docs/dicomweb.md.",
        options=(
            CONFIGFILE,
            CONFIG,
            Option("--dry-run", "", "ask the server what there is, and retrieve nothing", "-n"),
            AGAIN,
            JSON,
        ),
        exits="0: all that the list asks for is in the source; with --dry-run, the server has answered. 1: it is not, "
        "or the server failed. 2: an argument, the configuration, the list or an environment variable is wrong.",
        examples=("./run retrieve --configfile my.yaml",),
        module="retrieve",
        function="run_retrieve",
    ),
    Command(
        name="status",
        usage="[--json] [arguments of a run]",
        summary="what a run would do, and why",
        text="Prints what a run with the same arguments would do and why, and proposes names for masks that have none; "
        "while a run is active, how far it is. Changes nothing.",
        options=(*LIKE_A_RUN, JSON),
        exits="0: nothing to do. 2: a run would do something. 1: it would not start, one is active, or an argument is "
        "wrong.",
        examples=("./run status --configfile my.yaml",),
        module="status.command",
        function="run_status",
        passes_on="Snakemake",
    ),
    Command(
        name="verify",
        usage="[--repair | --dataset PLACE] [--signers FILE] [--json] [arguments of a run]",
        summary="read every byte again; --repair",
        text="Reads every file of the dataset and its exports again, and compares it with what was recorded. Changes "
        "nothing, unless --repair is given. With --dataset, compares a copy anywhere with the checksums that it holds.",
        options=(
            *LIKE_A_RUN,
            CORES,
            Option("--repair", "", "rebuild what is damaged or missing, and nothing else"),
            COPY,
            Option("--signers", "FILE", "check the signature too: by a key of this file of allowed signers"),
            JSON,
        ),
        exits="0: every file is as recorded, and the signature holds if --signers asks. 1: not so, or an argument is "
        "wrong. With --repair as a run.",
        examples=("./run verify --configfile my.yaml", "./run verify --dataset https://example.org/study"),
        module="verify",
        function="run_verify",
        passes_on="Snakemake",
    ),
    Command(
        name="diff",
        usage="[--json] OLD [NEW]",
        summary="what differs between two datasets",
        text="Compares two datasets: volumes that were added, grew, changed or were removed, masks, counts, "
        "configuration and software. OLD and NEW are dataset folders, results folders, those that ./run publish wrote "
        "to, or a dataset.json; NEW is results/dataset if it is left out. Changes nothing.",
        options=(JSON,),
        exits="0: the same data. 1: different data. 2: one is no dataset, or an argument is wrong.",
        examples=("./run diff old/dataset", "./run diff old/dataset results/dataset --json"),
        module="diff",
        function="main",
        most_positional=2,
    ),
    Command(
        name="files",
        usage="[--reason CODE] [--outcome O] [--array ID] [--json | -0]",
        summary="paths of the source, by reason",
        text="Prints paths of source files, one a line, relative to the source folder; without --reason, --outcome or "
        "--array, how many files have which outcome and reason. Paths may identify patients: keep them on site.",
        options=(
            Option("--reason", "CODE", "files with this reason: docs/reasons.md"),
            Option("--outcome", "O", "extracted, skipped, quarantined or ignored files"),
            Option(
                "--array", "ID", "files in this array, or in any array of this series; the beginning of an id is enough"
            ),
            Option("--full", "", "whole paths, with the source folder of the last run"),
            Option("--null", "", "exact bytes, each path ended by NUL, for xargs -0", "-0"),
            JSON,
            CONFIGFILE,
            RESULTS,
        ),
        exits="0: done, also if no file matches. 1: there are no results yet. 2: an argument is wrong.",
        examples=("./run files --reason burned_in_risk --configfile my.yaml",),
        module="files",
        function="run_files",
    ),
    Command(
        name="report",
        usage="[--no-open]",
        summary="open the report page",
        text="Prints where the report page is and what the last build changed, and opens the page in a browser where "
        "there is a display. Changes nothing.",
        options=(NO_OPEN, CONFIGFILE, RESULTS),
        exits="0: done. 1: there is no report yet. 2: an argument is wrong.",
        examples=("./run report --configfile my.yaml", "./run report --results demo/results"),
        module="report",
        function="run_report",
    ),
    Command(
        name="audit",
        usage="[--needles FILE [--dataset FOLDER] [--without-voxels]] [--json]",
        summary="a page for data protection; search names",
        text="Writes private/audit.html, a page for a data protection officer: what the dataset can hold, what was "
        "searched for, and what is not covered. With --needles, searches a dataset for the names of your own list, and "
        "prints places and numbers of lines, never a name: docs/privacy-audit.md. Changes nothing in the dataset.",
        options=(
            Option("--needles", "FILE", "search for these names, one a line, as texts, encoded, compressed, as hashes"),
            Option("--dataset", "FOLDER", "with --needles: a folder of its own, such as a copy; no private/ is needed"),
            Option("--without-voxels", "", "with --needles: leave out voxels, the slow part"),
            JSON,
            CONFIGFILE,
            RESULTS,
        ),
        exits="0: all is as listed; with --needles, nothing was found. 1: not so, or there is no finished dataset; "
        "with --needles, a name was found. 2: an argument or the list is wrong, or a file could not be read, or only "
        "in part.",
        examples=("./run audit --configfile my.yaml", "./run audit --needles names.txt --dataset copy"),
        module="audit.command",
        function="run_audit",
    ),
    Command(
        name="view",
        usage="[ARRAY] [--port N] [--no-open]",
        summary="look at voxels and masks",
        text="Serves the dataset to a viewer in your browser, on this machine alone, until Ctrl-C. ARRAY is an id of "
        "volumes.csv or its beginning; without it, a list is shown: docs/viewing.md. Changes nothing.",
        options=(
            Option("--port", "N", "the port on 127.0.0.1; a free one if this is left out"),
            NO_OPEN,
            CONFIGFILE,
            RESULTS,
            Option("--dataset", "FOLDER", "a dataset folder of its own, such as a copy"),
        ),
        exits="130: ended by Ctrl-C. 143: ended by SIGTERM. 1: there is no dataset yet. 2: an argument is wrong.",
        examples=("./run view --configfile my.yaml",),
        module="view",
        function="run_view",
        most_positional=1,
    ),
    Command(
        name="review",
        usage="[--list | --keep | --set-aside | --undo CONTENT...] [--json]",
        summary="decide about text in the pixels",
        text="Shows the images that were set aside for text, in your browser, on this machine alone, until Ctrl-C. "
        "Decisions are in private/decisions.csv at once; the next run applies them. CONTENT is a digest, or its first "
        "8 digits: docs/review.md. Looking changes nothing.",
        options=(
            Option("--list", "", "print images and decisions, and serve no page"),
            *DECIDE,
            JSON,
            Option("--port", "N", "the port on 127.0.0.1; a free one if this is left out"),
            NO_OPEN,
            CONFIGFILE,
            RESULTS,
        ),
        exits="0: printed, or decided, or no image is set aside. 1: there are no results yet. 2: an argument or the "
        "table of decisions is wrong. 130: ended by Ctrl-C. 143: ended by SIGTERM.",
        examples=("./run review --configfile my.yaml",),
        module="review",
        function="run_review",
    ),
    Command(
        name="explain",
        usage="ARRAY [--private] [--json]",
        summary="how an array, or a mask, was made",
        text="Prints of one array which files it was made from, why they are one array, how they were decoded and "
        "checked, by which code and configuration, and what each step read and wrote. ARRAY is an id of volumes.csv or "
        "its beginning; ARRAY/labels/MASK is a mask: docs/provenance.md. Changes nothing.",
        options=(
            Option("--private", "", "also paths of source files, which may identify patients: keep them on site"),
            JSON,
            CONFIGFILE,
            RESULTS,
            Option("--dataset", "FOLDER", "a dataset folder of its own, such as a copy"),
        ),
        exits="0: done. 1: there is no dataset yet. 2: there is no such array, or an argument is wrong.",
        examples=("./run explain 043bd196322912be/2d957980 --configfile my.yaml",),
        module="explain.command",
        function="run_explain",
        most_positional=1,
    ),
    Command(
        name="sign",
        usage="KEY [--identity NAME]",
        summary="sign the dataset with a key of OpenSSH",
        text="Signs dataset.json, which holds the digest and the seal of all other files, with a key of OpenSSH, and "
        "writes dataset.json.sig beside it. Prints the line by which ./run verify --signers knows the key: "
        "docs/provenance.md.",
        options=(
            Option("--identity", "NAME", "the name in the printed line, such as curator@example.org; it is not signed"),
            CONFIGFILE,
            RESULTS,
        ),
        exits="0: signed. 1: there is no finished dataset. 2: it was not signed, or an argument is wrong.",
        examples=("./run sign signing_key --identity curator@example.org",),
        module="sign",
        function="run_sign",
        most_positional=1,
    ),
    *(_export(*export) for export in EXPORTS),
    Command(
        name=PUBLISH,
        usage="[arguments of a run]",
        summary="update the dataset, then a copy elsewhere",
        text="Sends what changed to a bucket or folder, `publish` in the configuration; readers see one whole version "
        "or another. Credentials come from the environment alone: docs/publishing.md.",
        options=FOR_A_RUN,
        exits=OF_A_RUN,
        examples=("./run publish --configfile my.yaml",),
        module="run.command",
        function="run_snakemake",
        passes_on="Snakemake",
    ),
    Command(
        name="bench",
        usage="[--preset small|full] [options]",
        summary="time whole runs beside other tools",
        text="Times whole runs of the workflow and of other tools on generated data, and writes bench/figures.json, "
        "bench/table.md and bench/chart.svg: docs/performance.md.",
        options=(
            Option("--preset", "P", "small (about ten minutes) or full (hours)"),
            Option("--only", "CORPUS...", "only these corpora, such as ct one"),
            Option("--peers", "TOOL...", "only these other tools; none: install nothing for them"),
            Option("--rounds", "N", "counted rounds, after one that fills caches (3)"),
            Option("--cores", "N", "cores of the workflow (2)"),
            Option("--folder", "F", "keep corpora and environments of other tools here"),
            Option("--out", "F", "write the figures here (bench)"),
            Option("--page", "", "also write the tables into docs/performance.md"),
        ),
        exits="0: done. Else an argument is wrong, or a run failed.",
        examples=("./run bench --only ct one --peers none",),
        module="development",
        function="run_bench",
        passes_on="the benchmark",
    ),
    Command(
        name="test",
        usage="[--quick] [arguments of pytest]",
        summary="run the tests",
        text="Adds the tools of the tests to the environment, and runs the tests.",
        options=(
            Option("--quick", "", "only those without Snakemake, compiler and browser: under two minutes"),
            Option("-k", "WORDS", "only tests with these words in their names"),
            Option("-n0", "", "in one process"),
        ),
        exits="those of pytest. 0: all tests passed.",
        examples=("./run test --quick", "./run test tests/unit/volumes -k geometry"),
        module="development",
        function="run_tests",
        passes_on="pytest",
    ),
    Command(
        name="check",
        usage="",
        summary="run all that CI runs",
        text="Runs everything that CI runs: format, lint, types, the demo twice, all tests. It continues after a "
        "failure, so that one run shows all of them.",
        options=(),
        exits="0: all passed. 1: something failed. 2: an argument is wrong.",
        examples=("./run check",),
        module="development",
        function="run_check",
    ),
    Command(
        name="snakemake",
        usage="[arguments of Snakemake]",
        summary="a run, but --help is Snakemake's",
        text="The same as a run, but --help and --version are Snakemake's own: `./run snakemake --help` prints all of "
        "its options.",
        options=(),
        exits=OF_A_RUN,
        examples=("./run snakemake --help", "./run snakemake --version"),
        module="run.command",
        function="run_snakemake",
        passes_on="Snakemake",
    ),
)
BY_NAME = {command.name: command for command in (RUN, *COMMANDS)}
ONE_ON_FAILURE = ("status", "verify")  # exit code of an error: for status, 2 means something else
