"""Time a whole run against what people use today, interleaved, in one go: the naive script, dcm2niix, and `cat`.

    python benchmarks/whole_run.py                       a small CT corpus, three rounds
    python benchmarks/whole_run.py --preset full         CT 20 x 200 x 512 x 512, about 2.1 GB
    python benchmarks/whole_run.py --json figures.json   the figures for a machine to read

Every command runs as a process of its own on a warm cache; wall and CPU seconds are those of the process tree. What a
command wrote is counted, so that a slice that got lost on the way shows. dcm2niix takes part where it is on the PATH
(`pip install dcm2niix`).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
PRESETS = {"small": (8, 60), "full": (20, 200)}  # series, slices of 512 x 512 int16
EDGE = 512
NAIVE = """
import os, pickle, sys
import pydicom
images = []
for folder, _, names in sorted(os.walk(sys.argv[1])):
    for name in sorted(names):
        images.append(pydicom.dcmread(os.path.join(folder, name), force=True).pixel_array)
with open(sys.argv[2] + "/images.pickle", "wb") as stream:
    pickle.dump(images, stream)
"""


def make_corpus(folder: Path, series: int, slices: int) -> int:
    """Write CT-like series with noise as scanners have it, and return the number of slices."""
    sys.path.insert(0, str(ROOT / "tests"))
    from dicoms import ct_slice, save

    generator = np.random.default_rng(7)
    y, x = np.mgrid[:EDGE, :EDGE]
    body = np.hypot(y - 256, (x - 256) * 0.8) < 200
    organs = 60 * np.sin(y / 17) * np.cos(x / 23) + 40
    noise = generator.normal(0, 12, (16, EDGE, EDGE))
    for number in range(series):
        for index in range(slices):
            tissue = organs * np.cos(index / 40 + number) + noise[(index * 7 + number) % 16]
            pixels = np.where(body, tissue, -1000 + noise[(index + number) % 16] / 4).astype("<i2")
            one = ct_slice(f"bench {number}", index, pixels=pixels)
            save(one, folder / f"{number:03d}" / f"{index:04d}.dcm")
    return series * slices


@dataclass
class Peer:
    """A command, how to count the slices it wrote, and its figures."""

    name: str
    command: Callable[[Path], list[str]]
    slices: Callable[[Path], int | None]
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    size: int = 0
    found: int | None = None

    def run(self, work: Path) -> None:
        """Run once into an empty folder and note the figures."""
        out = work / "out"
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        start = time.perf_counter()
        done = subprocess.run(self.command(out), cwd=work, capture_output=True, check=False)
        self.wall.append(time.perf_counter() - start)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.cpu.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        if done.returncode:
            raise SystemExit(f"{self.name} exited with {done.returncode}: {done.stderr.decode()[-500:]}")
        self.size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
        self.found = self.slices(out)


def workflow(source: Path, compression: str, cores: int) -> Callable[[Path], list[str]]:
    """Return the command of a whole run from scratch, verification included."""

    def command(out: Path) -> list[str]:
        config = out.parent / f"{compression}.json"
        config.write_text(json.dumps({"source": str(source), "results": str(out), "compression": compression}))
        shutil.rmtree(out.parent / ".snakemake", ignore_errors=True)
        return [
            *(sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--cores", str(cores)),
            *("--configfile", str(config)),
        ]

    return command


def slices_of_dataset(out: Path) -> int:
    """Return the frames of a dataset whose arrays all read back exactly."""
    counts: dict[str, int] = json.loads((out / "dataset" / "dataset.json").read_text())["counts"]
    reports = (out / "dataset" / "reports" / "depth.csv").read_text()
    return counts["frames"] if ",mismatch," not in reports else 0


def slices_of_nifti(out: Path) -> int:
    """Return the slices of all NIfTI files, from bytes 40 to 56 of their headers."""
    import gzip

    total = 0
    for path in [*out.glob("*.nii"), *out.glob("*.nii.gz")]:
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as stream:
            head = np.frombuffer(stream.read(348)[40:56], "<i2")
        total += int(head[3]) * max(int(head[4]), 1)
    return total


def peers(source: Path, cores: int) -> list[Peer]:
    """Return everyone who takes part on this machine."""
    found = [
        Peer("ours, balanced", workflow(source, "balanced", cores), slices_of_dataset),
        Peer("ours, fast", workflow(source, "fast", cores), slices_of_dataset),
        Peer("naive script", lambda out: [sys.executable, "-c", NAIVE, str(source), str(out)], lambda out: None),
        Peer("cat", lambda out: ["sh", "-c", f"find '{source}' -type f -exec cat {{}} + >/dev/null"], lambda out: None),
    ]
    tool = shutil.which("dcm2niix")
    for flag in ("n", "y") if tool else ():
        arguments = [str(tool), "-z", flag, "-b", "n", "-f", "%j"]
        found.append(
            Peer(f"dcm2niix -z {flag}", lambda out, a=arguments: [*a, "-o", str(out), str(source)], slices_of_nifti)
        )
    return found


def main() -> None:
    """Make the corpus, run everyone in turn, print the medians and their ratios to the naive script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=PRESETS, default="small")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cores", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        source = work / "source"
        slices = make_corpus(source, *PRESETS[chosen.preset])
        size = sum(path.stat().st_size for path in source.rglob("*.dcm"))
        print(f"{slices} slices, {size / 1e6:.0f} MB, {chosen.cores} cores, {chosen.rounds} rounds after a warm-up")
        everyone = peers(source, chosen.cores)
        for turn in range(chosen.rounds + 1):
            for peer in everyone:
                peer.run(work)
                if turn == 0:
                    peer.wall.clear()
                    peer.cpu.clear()
        reference = next(statistics.median(peer.wall) for peer in everyone if peer.name == "naive script")
        print(f"{'':16} {'wall s':>8} {'CPU s':>8} {'wall/naive':>11} {'out MB':>8}  slices")
        for peer in everyone:
            wall, cpu = statistics.median(peer.wall), statistics.median(peer.cpu)
            whole = (
                "" if peer.found is None else f"{peer.found} of {slices}" + ("" if peer.found == slices else "  LOST")
            )
            print(f"{peer.name:16} {wall:8.2f} {cpu:8.2f} {wall / reference:11.2f} {peer.size / 1e6:8.0f}  {whole}")
    if chosen.json:
        figures = {peer.name: {"wall": peer.wall, "cpu": peer.cpu, "bytes": peer.size} for peer in everyone}
        chosen.json.write_text(json.dumps({"slices": slices, "bytes": size, "peers": figures}, indent=1) + "\n")


if __name__ == "__main__":
    main()
