"""Write the generated parts of the documentation: diagram of the workflow, figures of speed, tables of codes, commands.

    python docs/generate.py            write the parts that are out of date
    python docs/generate.py --check    list the parts that are out of date; exit code 1 if there are any

Each part is between two markers in its page; the text around them is written by hand.
"""

import re
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

from dicomzarr.commands.launcher.command_table import BY_NAME, COMMANDS, EXIT_CODES, EXPORTS, OF_A_RUN, RUN, Command  # noqa: E402
from dicomzarr.commands.launcher.help_texts import usage_of  # noqa: E402
from dicomzarr.commands.launcher.json_forms import FORMS  # noqa: E402
from dicomzarr.retrieval.accounts import REASONS as RETRIEVAL_REASONS  # noqa: E402
from dicomzarr.stages.export.refusals import REFUSALS  # noqa: E402
from dicomzarr.vocabulary.flags import FLAG_TABLES  # noqa: E402
from dicomzarr.vocabulary.mask_problems import MASK_PROBLEMS  # noqa: E402
from dicomzarr.vocabulary.reasons import REASONS  # noqa: E402
from dicomzarr.vocabulary.rules import DATASET_RULES, RULES, rules_before  # noqa: E402

# ---- The diagram, from the rule files

SCAN = "scan"
OPTIONAL = {rule.name for rule in RULES if rule.optional}  # their edges are dashed
# Arrays are not declared as outputs: Snakemake would delete finished arrays when a job fails (decision 0006).
UNDECLARED = {
    "extract_batch": ("<results>/dataset/images.zarr",),
    "export_png": ("<results>/exports/png",),
    "export_npz": ("<results>/exports/npz",),
    "export_nifti": ("<results>/exports/nifti",),
    "export_preview": ("<results>/exports/preview_lossy",),
    "export_nnunet": ("<results>/exports/nnunet",),
    "export_monai": ("<results>/exports/monai",),
}


@dataclass(frozen=True)
class Rule:
    """A rule as the diagram shows it: what it reads and writes, as literal paths."""

    name: str
    is_checkpoint: bool
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @property
    def is_batched(self) -> bool:
        """Whether it has one job for each batch."""
        return any("{batch}" in path for path in self.outputs)

    @property
    def products(self) -> list[str]:
        """Its outputs without record and provenance; private ones with their folder."""
        paths = [path.removeprefix("<results>/") for path in (*self.outputs, *UNDECLARED.get(self.name, ()))]
        paths = [path for path in paths if not path.startswith(("dataset/provenance/", "private/records/"))]
        shown = [path if path.startswith("private/") else path.removeprefix("dataset/") for path in paths]
        return sorted((re.sub("^reports/", "", path) for path in shown), key=lambda path: path.startswith("private/"))

    @property
    def is_export(self) -> bool:
        """Whether it runs only as a target of the command line."""
        return self.name.startswith("export_")

    @property
    def is_shareable(self) -> bool:
        """Whether it writes anything outside `private/` beside its provenance."""
        return any(not path.startswith("private/") for path in self.products)


def section(text: str, name: str) -> str:
    """Return the lines of one section of a rule, such as its inputs."""
    match = re.search(rf"^    {name}:\n((?:        .*\n|\n)+)", text, re.MULTILINE)
    return match.group(1) if match else ""


def read_functions(common: Path) -> dict[str, str]:
    """Return the text of each function of `rules/common.smk` by its name."""
    return dict(re.findall(r"^def (\w+)\(.*\n((?:    .*\n|\n)+)", common.read_text(), re.MULTILINE))


def paths_in(text: str, functions: Mapping[str, str]) -> tuple[str, ...]:
    """Return the paths that a section of a rule names, itself or by functions of `common.smk`.

    Parameters
    ----------
    text : str
        The section, or the text of a function.
    functions : mapping of str to str
        What `read_functions` returned. Their paths are arguments of `in_results`; `records_of("rule")` is the record of
        every batch of a rule.

    Returns
    -------
    tuple of str
        With `<results>` and `{batch}`; the rules of `rules_before` and `DATASET_RULES` are written out.
    """
    paths = re.findall(r'"(<results>/[^"]*)"', text)
    paths += [f"<results>/{path}" for path in re.findall(r'\bin_results\(f?"([^"]*)"\)', text)]
    paths += [f"<results>/private/records/{rule}/{{batch}}.json" for rule in re.findall(r'records_of\("(\w+)"\)', text)]
    rules = [rule for end in re.findall(r'rules_before\("(\w+)"\)', text) for rule in rules_before(end)]
    rules += DATASET_RULES if "DATASET_RULES" in text else ()
    paths = [path.replace("{rule}", rule) for path in paths for rule in (rules if "{rule}" in path else [""])]
    for name in re.findall(r"\b\w+\b", text):
        if name in functions and name not in ("in_results", "records_of"):
            paths += paths_in(functions[name], functions)
    return tuple(dict.fromkeys(paths))


def read_rules(folder: Path) -> list[Rule]:
    """Return the rules of all rule files, in the order in which the Snakefile includes them."""
    order = re.findall(r'include: "rules/(\w+)\.smk"', (folder.parent / "Snakefile").read_text())
    functions = read_functions(folder / "common.smk")
    rules = []
    for name in order:
        text = (folder / f"{name}.smk").read_text()
        for kind, rule in re.findall(r"^(rule|checkpoint) (\w+):", text, re.MULTILINE):
            inputs, outputs = (paths_in(section(text, part), functions) for part in ("input", "output"))
            rules.append(Rule(rule, kind == "checkpoint", inputs, outputs))
    return rules


def edges_of(rules: list[Rule]) -> set[tuple[str, str]]:
    """Return the edges (writer, reader): by a common path, by the folder of a checkpoint's output, or from the scan."""
    writer = {path: rule.name for rule in rules for path in rule.outputs}
    folders = {path.rpartition("/")[0]: rule.name for rule in rules if rule.is_checkpoint for path in rule.outputs}
    edges = set()
    for rule in rules:
        for path in rule.inputs:
            edges.add((writer.get(path) or folders.get(path.rpartition("/")[0]) or SCAN, rule.name))
    return edges


def reduced(edges: set[tuple[str, str]], optional: Collection[str] = ()) -> set[tuple[str, str]]:
    """Return the edges without those that a longer path implies; no path through an optional rule implies anything."""

    def reaches(start: str, end: str) -> bool:
        return any(a == start and (b == end or (b not in optional and reaches(b, end))) for a, b in edges)

    return {
        (a, b) for a, b in edges if not any(x == a and y != b and y not in optional and reaches(y, b) for x, y in edges)
    }


def picture(rules: list[Rule]) -> str:
    """Return the workflow as a Mermaid flowchart."""
    lines = [
        "```mermaid",
        "flowchart TD",
        '    source[/"source folders"/] --> scan(["scan<br/>private/inventory.jsonl"])',
    ]
    batched, exports = ([rule for rule in rules if rule.is_batched], [rule for rule in rules if rule.is_export])
    for rule in (rule for rule in rules if not (rule.is_batched or rule.is_export)):
        lines.append("    " + node(rule))
    if batched:
        lines += ['    subgraph batches["one job per batch, in parallel"]']
        lines += ["        " + node(rule) for rule in batched]
        lines += ["    end"]
    if exports:
        lines += ['    subgraph exports["on request"]']
        lines += ["        " + node(rule) for rule in exports]
        lines += ["    end"]
    order = {name: index for index, name in enumerate([SCAN, *(rule.name for rule in rules)])}
    by_name = {rule.name: rule for rule in rules}
    for a, b in sorted(reduced(edges_of(rules), OPTIONAL), key=lambda edge: (order[edge[0]], order[edge[1]])):
        is_fan = a != SCAN and by_name[a].is_checkpoint and by_name[b].is_batched
        arrow = "-.->" if {a, b} & OPTIONAL else "==>" if is_fan else "-->"
        lines.append(f"    {a} {arrow} {b}")
    private = [SCAN, *(rule.name for rule in rules if not rule.is_shareable)]
    lines += [
        "    classDef private fill:#f7e3d4,stroke:#a04000,color:#222",
        "    classDef shareable fill:#d9eedd,stroke:#1e7a3c,color:#222",
        f"    class {','.join(private)} private",
        f"    class {','.join(rule.name for rule in rules if rule.is_shareable)} shareable",
        "```",
    ]
    return "\n".join(lines)


def node(rule: Rule) -> str:
    """Return the node of a rule: its name and its products; with a double edge for a checkpoint."""
    label = "<br/>".join([f"<b>{rule.name}</b>", *rule.products])
    label = label.replace("{batch}", "batch")
    return f'{rule.name}[["{label}"]]' if rule.is_checkpoint else f'{rule.name}["{label}"]'


# ---- Tables

OUTCOMES = {
    "skipped": "understood, and deliberately not part of the dataset",
    "quarantined": "should have been an image, but could not be used",
    "ignored": "not DICOM, or not a file",
}


def reasons_table() -> str:
    """Return every reason code by outcome, with what a user can do."""
    parts = []
    for outcome, meaning in OUTCOMES.items():
        parts += [f"## {outcome}: {meaning}", "", "| code | meaning | what to do |", "|---|---|---|"]
        parts += [f"| `{r.code}` | {r.meaning} | {r.remedy} |" for r in REASONS.values() if r.outcome == outcome]
        parts.append("")
    return "\n".join(parts).rstrip()


def flags_table() -> str:
    """Return every flag with its meaning, grouped by origin."""
    parts = []
    for title, flags in FLAG_TABLES:
        parts += [f"**{title}**", "", "| flag | meaning |", "|---|---|"]
        parts += [f"| `{code}` | {meaning} |" for code, meaning in flags.items()]
        parts.append("")
    return "\n".join(parts).rstrip()


def codes_table(head: str, meanings: Mapping[str, str]) -> str:
    """Return codes with their meaning; `head` is the title of the column of codes."""
    lines = [f"| {head} | meaning |", "|---|---|"]
    return "\n".join(lines + [f"| `{code}` | {meaning} |" for code, meaning in meanings.items()])


def retrieval_table() -> str:
    """Return every outcome of a retrieval with its reasons."""
    lines = ["| outcome | reason | meaning |", "|---|---|---|"]
    rows = [(outcome, code, meaning) for code, (outcome, meaning) in RETRIEVAL_REASONS.items()]
    return "\n".join(lines + [f"| `{o}` | {f'`{code}`' if code else ''} | {meaning} |" for o, code, meaning in rows])


# ---- Commands


def commands_text() -> str:
    """Return every command with its options, exit codes and examples; the exports, which have the same, together."""
    exports = [BY_NAME[name] for name, _, _ in EXPORTS]
    parts = []
    for command in (RUN, *COMMANDS):
        if command in exports[1:]:
            continue
        group = exports if command in exports else [command]
        names = ", ".join(f"`{each.name}`" for each in group) if command.name else "A run"
        parts += [f"## {names}", "", *(f"- `{usage_of(each)}`: {each.text}" for each in group), ""]
        parts += [*options_table(command), *exits_line(command)]
        parts += ["```", *command.examples, "```", ""]
    return "\n".join(parts).rstrip()


def options_table(command: Command) -> list[str]:
    """Return the options of a command as a table."""
    if not command.options:
        return []
    names = [", ".join(filter(None, (o.short, f"{o.name} {o.value}".strip()))) for o in command.options]
    rows = [f"| `{name}` | {option.text} |" for name, option in zip(names, command.options, strict=True)]
    return ["| option | meaning |", "|---|---|", *rows, ""]


def exits_line(command: Command) -> list[str]:
    """Return the exit codes of a command, if they are not those of a run, and whose further arguments it takes."""
    own = [f"Exit codes: {command.exits}", ""] if command.exits not in ("", OF_A_RUN) else []
    return own + (
        [f"Further arguments go to {command.passes_on}.", ""] if command.passes_on and command.options else []
    )


def exit_codes_table() -> str:
    """Return the exit codes of a run; those of other commands are beside their options."""
    return "\n".join(["| exit code | meaning |", "|---|---|", *(f"| {code} | {text} |" for code, text in EXIT_CODES)])


def json_text() -> str:
    """Return the fields of each JSON object."""
    parts = []
    for name, fields in FORMS.items():
        rows = [f"| `{field}` | {meaning} |" for field, meaning in fields]
        title = f"`./run {name} --json`" if name else "`./run --json`, at the end of a run or the demo"
        parts += [f"**{title}**", "", "| field | meaning |", "|---|---|", *rows, ""]
    return "\n".join(parts).rstrip()


# ---- The figures of the README, from the tables on the page on performance: a column for each machine

SPEED = (  # a row of the README, its corpus or its target, and its form
    ("2.1 GB of CT, 4,000 files, s", "CT,", ".1f"),
    ("the same ÷ `dcm2niix -z y`", "wall, balanced ÷ dcm2niix -z y, CT", ".2f"),
    ("the same ÷ `dcm2niix -z n`, which compresses nothing", "wall, balanced ÷ dcm2niix -z n, CT", ".2f"),
    ("the same ÷ a naive script", "wall, balanced ÷ naive script, CT", ".2f"),
    ("50,000 small MR files, s", "50,000 small MR files", ".0f"),
    ("the same ÷ `dcm2niix -z n`", "wall, balanced ÷ dcm2niix -z n, small MR", ".2f"),
    ("the same ÷ a naive script", "wall, balanced ÷ naive script, small MR", ".2f"),
    ("100,000 series, nothing to do, s", "a run with nothing to do, s", ".1f"),
    ("one new series beside them, s", "one new series beside all old ones, s", ".1f"),
    ("one series of ten slices, s", "One series of 10 slices", ".1f"),
)


def speed_text() -> str:
    """Return how long runs took, as the table of the README."""
    page = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    machines = page.partition("<!-- end of bench -->")[0].split("<!-- machine: ")[1:]
    names = [re.sub(r" *\(.*?\)", "", each.partition(" -->")[0]).replace("(R)", "").split(",")[0] for each in machines]

    def found(measured: str, row: str, form: str) -> str:
        is_target = f"| {row} |" in measured
        value = cell(measured, row) if is_target else cell(measured.partition(f"**{row}")[2], "balanced")
        return format(float(value), form)

    lines = [("`balanced`, on two cores", *names), ("---",) * (len(names) + 1)]
    lines += [(title, *(found(each, row, form) for each in machines)) for title, row, form in SPEED]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cell(text: str, row: str) -> str:
    """Return the second cell of the first row with this name in the tables of a text."""
    row_found = re.search(rf"^\| {re.escape(row)} \| ([^ |]+) \|", text, re.M)
    if not row_found:
        raise SystemExit(f"generate.py: docs/performance.md has no row {row!r}")
    return row_found.group(1)


# ---- Pages

PARTS: tuple[tuple[str, str, Callable[[], str]], ...] = (
    ("README.md", "flow", lambda: picture(read_rules(ROOT / "rules"))),
    ("README.md", "speed", speed_text),
    ("docs/reasons.md", "reasons", reasons_table),
    ("docs/outputs.md", "flags", flags_table),
    ("docs/exports.md", "refusals", lambda: codes_table("reason", REFUSALS)),
    ("docs/masks.md", "problems of mask files", lambda: codes_table("problem", MASK_PROBLEMS)),
    ("docs/dicomweb.md", "outcomes of retrieval", retrieval_table),
    ("docs/commands.md", "commands", commands_text),
    ("docs/commands.md", "exit codes", exit_codes_table),
    ("docs/commands.md", "json", json_text),
)


def with_part(page: str, name: str, content: str) -> str:
    """Return a page with the text between the two markers of a part replaced."""
    begin, end = f"<!-- {name}: made by docs/generate.py -->", f"<!-- end of {name} -->"
    if page.count(begin) != 1 or page.count(end) != 1:
        raise SystemExit(f"generate.py: the page needs one line {begin!r} and one line {end!r}")
    head, rest = page.split(begin)
    return f"{head}{begin}\n\n{content}\n\n{end}{rest.split(end)[1]}"


def main(arguments: list[str]) -> int:
    """Write the parts that are out of date, or with --check list them; return the exit code."""
    stale = []
    for page, name, make in PARTS:
        path = ROOT / page
        old = path.read_text(encoding="utf-8")
        new = with_part(old, name, make())
        if new != old:
            stale.append(page)
            if "--check" not in arguments:
                path.write_text(new, encoding="utf-8")
    for page in stale:
        print(
            f"{page}: {'not current; run python docs/generate.py' if '--check' in arguments else 'brought up to date'}"
        )
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
