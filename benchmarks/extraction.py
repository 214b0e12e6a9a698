"""CPU time per file of extraction and check, in turns with another version of the code; or their profile.

    ./run --configfile my.yaml                      # writes plans and index into the folder of the results
    PYTHONPATH=.:scripts python benchmarks/extraction.py RESULTS [--beside OTHER] [--rounds 8] [--profile]

Extracts and checks all batches of RESULTS again, into a temporary folder beside it, in one process with one thread.
OTHER is another working copy of this repository. Prints milliseconds of CPU time per source file: the median and the
least of all rounds, and the peak memory of the process.
"""

import argparse
import cProfile
import os
import pstats
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]


def again(results: Path, profile: cProfile.Profile | None) -> tuple[float, float]:
    """Extract and check all batches; return the CPU milliseconds per file of both."""
    import zarr  # noqa: F401  # its import is no part of the time
    import zarrs  # noqa: F401

    from dicomzarr.privacy import pseudonyms
    from dicomzarr.records.batch_record import EXTRACT
    from dicomzarr.source import inventory
    from dicomzarr.source.archives import bounds
    from dicomzarr.stages.check_batch.batch import check_batch
    from dicomzarr.stages.extract_batch.batch import extract_batch
    from dicomzarr.stages.extract_batch.options import Options
    from dicomzarr.system import limits
    from dicomzarr.system.results_folder import Results

    options = Options("balanced", "slice", 0.01, 0.01, "keep", ("x",), "x")
    limits.keep_freed_memory()
    with tempfile.TemporaryDirectory(dir=results.parent) as name:
        folder = Results(Path(name))
        shutil.copytree(results / "private", folder.private, ignore=shutil.ignore_patterns("records", "cache"))
        folder.private.chmod(0o700)
        (folder.root / "dataset").mkdir()
        bounds.use(bounds.Bounds(folder.private / "cache" / bounds.FOLDER))  # for members of archives
        files = sum(row[1] == "file" for row in list(inventory.previous_rows(folder.inventory))[1:])
        ids, plans = pseudonyms.load(folder.private), sorted(folder.plans.glob("[0-9]*-*.json"))
        if profile:
            profile.enable()
        start = time.process_time()
        found = {plan.stem: extract_batch(plan, folder.inventory, folder, ids, options) for plan in plans}
        extraction = time.process_time() - start
        paths = [folder.records / EXTRACT / f"{batch}.json" for batch in found]
        for path, record in zip(paths, found.values(), strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(record.to_bytes()[0])
        start = time.process_time()
        for path in paths:
            check_batch(folder, path, "x", 1, draws=True)
        check = time.process_time() - start
        if profile:
            profile.disable()
    return 1000 * extraction / files, 1000 * check / files


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--beside", type=Path)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--once", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    results = chosen.results.resolve()
    if chosen.once or chosen.profile:
        profile = cProfile.Profile() if chosen.profile else None
        peak = resource.RUSAGE_SELF
        print(*again(results, profile), resource.getrusage(peak).ru_maxrss / 1024)
        if profile:
            pstats.Stats(profile).sort_stats("tottime").print_stats(30)
        return
    trees = [tree.resolve() for tree in (chosen.beside, HERE) if tree]
    figures: dict[Path, list[list[float]]] = {tree: [] for tree in trees}
    for _ in range(chosen.rounds):
        for tree in trees:
            command = [sys.executable, str(Path(__file__).resolve()), str(results), "--once"]
            environment = os.environ | {"PYTHONPATH": str(tree / "scripts")}
            output = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
            figures[tree].append([float(number) for number in output.split()])
    for tree, rounds in figures.items():
        columns = list(zip(*rounds, strict=True))
        shown = [f"{statistics.median(column):.3f} ({min(column):.3f})" for column in columns[:2]]
        print(f"{tree.name}: extraction {shown[0]}, check {shown[1]} ms per file; {max(columns[2]):.0f} MiB")


if __name__ == "__main__":
    main()
