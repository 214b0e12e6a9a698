"""Time whole runs of the workflow and of other tools, in turns, on generated corpora.

  ./run bench                    small corpora, about ten minutes
  ./run bench --preset full      CT 2.1 GB, 50,000 small MR files, mixed ones, 100,000 series of one file: hours
  ./run bench --only ct one      only these corpora (ct includes half and quarter)
  ./run bench --peers none       nothing is installed from the package registry

Writes bench/figures.json, bench/table.md and bench/chart.svg in the current folder. Frames that a tool or this workflow
loses are counted and shown.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.bench import corpora, header_reading, measure, pages, peers, targets, trace
from benchmarks.bench.corpora import Corpus
from benchmarks.bench.measure import Failed, Figures
from benchmarks.bench.peers import ROOT, Peer

ALL = ("one", "ct", "mr", "enhanced", "mixed", "large", "many")
HEADERS = ("ct", "mr", "enhanced")  # corpora whose headers are also read alone
TOGETHER = ("one", "ct", "half", "quarter")  # corpora whose times are compared with each other
Failures = dict[tuple[str, str], str]


class Bench:
    """A benchmark and its figures.

    Parameters
    ----------
    work : Path
        A folder for results; its content is deleted.
    rounds : int
        Counted rounds; one more round before them fills caches.
    competitors : sequence of Peer
        The workflow and the other tools.
    """

    def __init__(self, work: Path, rounds: int, competitors: Sequence[Peer]) -> None:
        self.work, self.rounds, self.competitors = work, rounds, competitors
        self.table: dict[tuple[str, str], Figures] = {}
        self.failures: Failures = {}
        self.single: dict[str, list[float]] = {}
        self.headers: dict[str, dict[str, float]] = {}

    def run(self, peer: Peer, corpus: Corpus, figures: Figures) -> Path:
        """Run one competitor on a corpus from scratch, and return its output folder."""
        folder = measure.new_folder(self.work / corpus.name)
        out = folder / "out"
        out.mkdir()
        measured, printed = measure.timed(peer.command(corpus.source, out), folder, peer.environment)
        measure.add_round(figures, measured)
        figures.bytes, figures.files = measure.size_of(out)
        figures.frames = peer.frames(out, printed)
        if peer.cores > 1:
            traced = trace.read(folder / peers.TRACE, measured["wall"], peer.cores)
            figures.serial.append(traced.serial())
            figures.on_8_cores.append(traced.seconds_on(8))
        return out

    def compare(self, group: Sequence[Corpus]) -> None:
        """Run all competitors on the corpora of a group in turns, so that what is compared was measured together."""
        for turn in range(-1, self.rounds):
            for corpus in group:
                for peer in self.competitors:
                    is_due = turn == self.rounds - 1 or not peer.is_slow
                    if is_due and corpus.name in peer.corpora and (corpus.name, peer.name) not in self.failures:
                        self._turn(peer, corpus, turn)

    def _turn(self, peer: Peer, corpus: Corpus, turn: int) -> None:
        """Run one competitor on a corpus; round -1 fills caches and does not count."""
        key = (corpus.name, peer.name)
        log(f"{corpus.name}: {peer.name}, " + (f"round {turn + 1}" if turn >= 0 else "warming up"))
        figures = Figures() if turn < 0 else self.table.setdefault(key, Figures())
        try:
            out = self.run(peer, corpus, figures)
        except Failed as error:
            self.failures[key] = str(error)
            self.table.pop(key, None)
            log(f"{corpus.name}: {peer.name} failed: {error}")
            return
        if corpus.name == "ct" and turn >= 0 and peer.name in CORES:
            self.single.setdefault(CORES[peer.name], []).append(peers.extraction_seconds(out))

    def read_headers(self, corpus: Corpus) -> None:
        """Read the headers of a corpus alone."""
        log(f"{corpus.name}: headers alone")
        self.headers[corpus.name] = header_reading.files_per_second(corpus.source, self.rounds)

    def rerun(self, corpus: Corpus) -> None:
        """Time runs on a finished dataset: with nothing to do, and with one new series."""
        ours = next(peer for peer in self.competitors if peer.name == "balanced")
        out = self.run(ours, corpus, self.table.setdefault((corpus.name, ours.name), Figures()))
        command = ours.command(corpus.source, out)
        new_files = []
        try:
            for turn in range(self.rounds):
                log(f"{corpus.name}: nothing to do, and one new series, round {turn + 1}")
                measured, _ = measure.timed(command, out.parent, ours.environment)
                self.single.setdefault("no-op", []).append(measured["wall"])
                new_files.append(corpora.add_series(corpus.source, 900_000 + turn))
                measured, _ = measure.timed(command, out.parent, ours.environment)
                self.single.setdefault("one new", []).append(measured["wall"])
        finally:
            for path in new_files:
                path.unlink()


# Competitors whose time from the first extraction to the last check shows the gain of a second core.
CORES = {"balanced": "two cores", "balanced, 1 core": "one core"}


def log(text: str) -> None:
    """Print progress to standard error."""
    print(text, file=sys.stderr, flush=True)


def make_corpora(names: Sequence[str], preset: str, folder: Path) -> list[Corpus]:
    """Write the corpora, unless an earlier benchmark wrote them to the same folder, and return them."""
    result = []
    for name in names:
        facts = folder / f"{name}-{preset}.json"
        if not facts.exists():
            log(f"writing the corpus {name}")
            shutil.rmtree(folder / name, ignore_errors=True)
            written = dataclasses.asdict(corpora.make(name, preset, folder))
            facts.write_text(json.dumps(written | {"source": str(written["source"])}))
        values = json.loads(facts.read_text())
        result.append(Corpus(**(values | {"source": Path(values["source"])})))
        if name == "ct":
            result += [corpora.part_of(result[-1], "half", 2), corpora.part_of(result[-1], "quarter", 4)]
    return result


def summary(bench: Bench, used: Sequence[Corpus], options: argparse.Namespace) -> dict[str, Any]:
    """Return all figures as JSON values."""
    single = {name: sorted(values)[len(values) // 2] for name, values in bench.single.items()}
    measured = targets.Measured(bench.table, {corpus.name: corpus.bytes for corpus in used}, single, bench.headers)
    return {
        "date": datetime.date.today().isoformat(),
        "machine": measure.machine() | {"load_at_start": options.load},
        "preset": options.preset,
        "cores": options.cores,
        "rounds": options.rounds,
        "targets": targets.verdicts(measured),
        "single": bench.single,
        "headers": bench.headers,
        "corpora": [_corpus(corpus, bench.table, bench.failures) for corpus in used],
    }


def _corpus(corpus: Corpus, table: targets.Table, failures: Failures) -> dict[str, Any]:
    rows: list[dict[str, Any]] = []
    for (name, peer), figures in table.items():
        if name == corpus.name:
            kinds = ("wall", "cpu", *(("serial", "on_8_cores") if figures.serial else ()))
            medians = {kind: figures.median(kind) for kind in kinds}
            counted: Mapping[str, Any] = {"bytes": figures.bytes, "files": figures.files, "frames": figures.frames}
            rows.append({"name": peer, "failed": "", "peak": max(figures.peak), **medians, **counted})
            rows[-1]["rounds"] = {kind: getattr(figures, kind) for kind in kinds}
    rows += [{"name": peer, "failed": text} for (name, peer), text in failures.items() if name == corpus.name]
    facts = {"name": corpus.name, "title": corpus.title, "bytes": corpus.bytes, "frames": corpus.frames}
    return facts | {"competitors": rows}


def arguments() -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(
        prog="./run bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", choices=("small", "full"), default="small")
    parser.add_argument("--only", nargs="+", choices=ALL, default=ALL, metavar="CORPUS", help=", ".join(ALL))
    parser.add_argument("--peers", nargs="*", choices=(*peers.PACKAGES, "none"), default=list(peers.PACKAGES))
    parser.add_argument("--rounds", type=int, default=3, help="counted rounds, after one that fills caches (3)")
    parser.add_argument("--cores", type=int, default=2, help="cores of the workflow (2, as in the targets)")
    parser.add_argument("--folder", type=Path, help="keep corpora and environments of other tools in this folder")
    parser.add_argument("--out", type=Path, default=Path("bench"))
    parser.add_argument(
        "--page",
        action="store_true",
        help="write the tables into docs/performance.md, in place of those of this machine",
    )
    return parser.parse_args()


def main() -> None:
    """Write the corpora, run all competitors, and write the figures."""
    options = arguments()
    options.load = f"{os.getloadavg()[0]:.1f}"
    with tempfile.TemporaryDirectory(prefix="dicomzarr-bench-") as temporary:
        folder = (options.folder or Path(temporary)).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        tools = [name for name in options.peers if name != "none"]
        bench = Bench(folder / "work", options.rounds, peers.peers(options.cores, folder / "environments", tools))
        used = make_corpora(options.only, options.preset, folder)
        together = [corpus for corpus in used if corpus.name in TOGETHER]
        alone = [[corpus] for corpus in used if corpus.name not in (*TOGETHER, "many")]
        for group in filter(None, [together, *alone]):
            bench.compare(group)
            shutil.rmtree(folder / "work", ignore_errors=True)
        for corpus in used:
            if corpus.name in HEADERS:
                bench.read_headers(corpus)
            if corpus.name == "many":
                bench.rerun(corpus)
                shutil.rmtree(folder / "work", ignore_errors=True)
    figures = summary(bench, used, options)
    options.out.mkdir(parents=True, exist_ok=True)
    text = pages.markdown(figures)
    (options.out / "figures.json").write_text(json.dumps(figures, indent=1) + "\n")
    (options.out / "table.md").write_text(text)
    (options.out / "chart.svg").write_text(pages.chart(figures))
    if options.page:
        pages.write_into(ROOT / "docs" / "performance.md", text, pages.machine_of(figures))
    print(text)


if __name__ == "__main__":
    main()
