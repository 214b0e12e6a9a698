"""Time whole runs against what people use today, everyone in turn, on corpora made here.

  ./run bench                    small corpora, about ten minutes
  ./run bench --preset full      CT 2.1 GB, 50,000 small MR files, mixed ones, 100,000 series of one file: hours
  ./run bench --only ct one      these corpora alone (ct brings half and quarter of it)
  ./run bench --peers none       nothing is installed from the package registry

Writes bench/figures.json, bench/table.md and bench/chart.svg where it is started. What a peer or this workflow loses is
counted and said.
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

from benchmarks.bench import corpora, measure, pages, peers, targets
from benchmarks.bench.corpora import Corpus
from benchmarks.bench.measure import Failed, Figures
from benchmarks.bench.peers import ROOT, Peer

ALL = ("one", "ct", "mr", "mixed", "large", "many")
Failures = dict[tuple[str, str], str]


class Bench:
    """A benchmark under way.

    Parameters
    ----------
    work : Path
        A folder for corpora and results; what it holds is made by this benchmark.
    rounds : int
        Rounds that count; one more before them warms up.
    """

    def __init__(self, work: Path, rounds: int, competitors: Sequence[Peer]) -> None:
        self.work, self.rounds, self.competitors = work, rounds, competitors
        self.table: dict[tuple[str, str], Figures] = {}
        self.failures: Failures = {}
        self.single: dict[str, list[float]] = {}

    def run(self, peer: Peer, corpus: Corpus, figures: Figures) -> Path:
        """Let one competitor work on a corpus from scratch, and return what it wrote."""
        here = measure.fresh(self.work / corpus.name)
        out = here / "out"
        out.mkdir()
        measured, said = measure.timed(peer.command(corpus.source, out), here, peer.environment)
        measure.note(figures, measured)
        figures.bytes, figures.files = measure.size_of(out)
        figures.frames = peer.frames(out, said)
        return out

    def contest(self, corpus: Corpus, *, warm_up: bool = True) -> None:
        """Let everyone work on a corpus in turn."""
        taking_part = [peer for peer in self.competitors if corpus.name in peer.corpora]
        for turn in range(-1 if warm_up else 0, self.rounds):
            for peer in taking_part:
                key = (corpus.name, peer.name)
                if key in self.failures:
                    continue
                tell(f"{corpus.name}: {peer.name}, " + (f"round {turn + 1}" if turn >= 0 else "warming up"))
                figures = Figures() if turn < 0 else self.table.setdefault(key, Figures())
                try:
                    out = self.run(peer, corpus, figures)
                except Failed as error:
                    self.failures[key] = str(error)
                    self.table.pop(key, None)
                    tell(f"{corpus.name}: {peer.name} failed: {error}")
                    continue
                if corpus.name == "ct" and turn >= 0 and peer.name in CORES:
                    self.single.setdefault(CORES[peer.name], []).append(peers.span(out))

    def again(self, corpus: Corpus) -> None:
        """Time runs on a finished dataset: with nothing to do, then with one new series each."""
        ours = next(peer for peer in self.competitors if peer.name == "balanced")
        out = self.run(ours, corpus, self.table.setdefault((corpus.name, ours.name), Figures()))
        command = ours.command(corpus.source, out)
        new = []
        try:
            for turn in range(self.rounds):
                tell(f"{corpus.name}: nothing to do, and one new series, round {turn + 1}")
                measured, _ = measure.timed(command, out.parent, ours.environment)
                self.single.setdefault("no-op", []).append(measured["wall"])
                added = corpora.one_more(corpus.source, 900_000 + turn)
                new.append(added)
                measured, _ = measure.timed(command, out.parent, ours.environment)
                self.single.setdefault("one new", []).append(measured["wall"])
        finally:
            for path in new:
                path.unlink()


# Competitors whose time between the first extraction and the last check tells what a second core brings.
CORES = {"balanced": "two cores", "balanced, 1 core": "one core"}


def tell(text: str) -> None:
    """Say what happens, on standard error."""
    print(text, file=sys.stderr, flush=True)


def made_corpora(names: Sequence[str], preset: str, folder: Path) -> list[Corpus]:
    """Return the corpora, made or taken from an earlier benchmark in the same folder."""
    found = []
    for name in names:
        note = folder / f"{name}-{preset}.json"
        if not note.exists():
            tell(f"making the corpus {name}")
            shutil.rmtree(folder / name, ignore_errors=True)
            made = dataclasses.asdict(corpora.make(name, preset, folder))
            note.write_text(json.dumps(made | {"source": str(made["source"])}))
        kept = json.loads(note.read_text())
        found.append(Corpus(**(kept | {"source": Path(kept["source"])})))
        if name == "ct":
            found += [corpora.part_of(found[-1], "half", 2), corpora.part_of(found[-1], "quarter", 4)]
    return found


def summary(bench: Bench, found: Sequence[Corpus], options: argparse.Namespace) -> dict[str, Any]:
    """Return all figures as JSON values."""
    single = {name: sorted(values)[len(values) // 2] for name, values in bench.single.items()}
    known = targets.Measured(bench.table, {corpus.name: corpus.bytes for corpus in found}, single)
    return {
        "date": datetime.date.today().isoformat(),
        "machine": measure.machine() | {"load_at_start": options.load},
        "preset": options.preset,
        "cores": options.cores,
        "rounds": options.rounds,
        "targets": targets.judged(known),
        "single": bench.single,
        "corpora": [_corpus(corpus, bench.table, bench.failures) for corpus in found],
    }


def _corpus(corpus: Corpus, table: targets.Table, failures: Failures) -> dict[str, Any]:
    rows: list[dict[str, Any]] = []
    for (name, peer), figures in table.items():
        if name == corpus.name:
            medians = {what: figures.median(what) for what in ("wall", "cpu")}
            counted: Mapping[str, Any] = {"bytes": figures.bytes, "files": figures.files, "frames": figures.frames}
            rows.append({"name": peer, "failed": "", "peak": max(figures.peak), **medians, **counted})
            rows[-1]["rounds"] = {"wall": figures.wall, "cpu": figures.cpu}
    rows += [{"name": peer, "failed": text} for (name, peer), text in failures.items() if name == corpus.name]
    said = {"name": corpus.name, "title": corpus.title, "bytes": corpus.bytes, "frames": corpus.frames}
    return said | {"competitors": rows}


def arguments() -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(
        prog="./run bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", choices=("small", "full"), default="small")
    parser.add_argument("--only", nargs="+", choices=ALL, default=ALL, metavar="CORPUS", help=", ".join(ALL))
    parser.add_argument("--peers", nargs="*", choices=(*peers.PACKAGES, "none"), default=list(peers.PACKAGES))
    parser.add_argument("--rounds", type=int, default=3, help="that count, after one to warm up (3)")
    parser.add_argument("--cores", type=int, default=2, help="of the workflow (2: what the targets are meant for)")
    parser.add_argument("--folder", type=Path, help="keep corpora and peers' environments here for the next time")
    parser.add_argument("--out", type=Path, default=Path("bench"))
    parser.add_argument("--page", action="store_true", help="put the tables into docs/performance.md")
    return parser.parse_args()


def main() -> None:
    """Make the corpora, let everyone run, and say what came out."""
    options = arguments()
    options.load = f"{os.getloadavg()[0]:.1f}"
    with tempfile.TemporaryDirectory(prefix="dicomzarr-bench-") as temporary:
        folder = (options.folder or Path(temporary)).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        wanted = [name for name in options.peers if name != "none"]
        bench = Bench(folder / "work", options.rounds, peers.peers(options.cores, folder / "environments", wanted))
        found = made_corpora(options.only, options.preset, folder)
        for corpus in found:
            if corpus.name == "many":
                bench.again(corpus)
            else:
                bench.contest(corpus)
            shutil.rmtree(folder / "work", ignore_errors=True)
    said = summary(bench, found, options)
    options.out.mkdir(parents=True, exist_ok=True)
    text = pages.markdown(said)
    (options.out / "figures.json").write_text(json.dumps(said, indent=1) + "\n")
    (options.out / "table.md").write_text(text)
    (options.out / "chart.svg").write_text(pages.chart(said))
    if options.page:
        pages.write_into(ROOT / "docs" / "performance.md", text)
    print(text)


if __name__ == "__main__":
    main()
