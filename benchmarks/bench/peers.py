"""The competitors: this workflow, a naive script, `cat`, and other tools in their own environments."""

from __future__ import annotations

import gzip
import json
import math
import subprocess
import sys
import venv
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import numpy as np
from benchmarks.bench.trace import TRACED

ROOT = Path(__file__).resolve().parents[2]
# The package of each environment.
PACKAGES = {
    "dcm2niix": "dcm2niix==1.0.20260724",
    "simpleitk": "simpleitk==2.5.7",
    "imagetools": "med-imagetools==2.16.0",
    "medh5": "medh5[dicom]==2.2.3",
}
SCAN, MEDH5 = "balanced, burned_in: scan", "medh5 from-dicom"
KEY = {"DICOMZARR_KEY": "a key for benchmarks, no secret at all"}

NAIVE = """
import os, pickle, sys
import pydicom
images, frames = [], 0
for folder, _, names in sorted(os.walk(sys.argv[1])):
    for name in sorted(names):
        header = pydicom.dcmread(os.path.join(folder, name), force=True)
        images.append(header.pixel_array)
        frames += int(header.get("NumberOfFrames") or 1)
with open(sys.argv[2] + "/images.pickle", "wb") as stream:
    pickle.dump(images, stream)
print("frames", frames)
"""
SIMPLEITK = """
import os, sys
import SimpleITK as sitk
frames = 0
for folder, _, names in sorted(os.walk(sys.argv[1])):
    for series in sitk.ImageSeriesReader.GetGDCMSeriesIDs(folder) if names else ():
        files = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(folder, series)
        reader = sitk.ImageSeriesReader()
        reader.SetFileNames(files)
        image = reader.Execute()
        frames += image.GetSize()[2] if image.GetDimension() > 2 else 1
        sitk.WriteImage(image, os.path.join(sys.argv[2], series + ".nii.gz"))
print("frames", frames)
"""


@dataclass(frozen=True, slots=True)
class Peer:
    """A competitor.

    Attributes
    ----------
    name : str
    command : callable
        Returns the command for a source and an output folder.
    frames : callable
        Returns the number of written frames from the output folder and the printed text; None if it is not known.
    corpora : tuple of str
        Names of the corpora on which it runs.
    environment : dict of str to str
        Additional environment variables.
    cores : int
        Of a run of the workflow, which has a trace; 0 for other tools.
    is_slow : bool
        Whether it takes minutes on a large corpus: it runs once then, in the last round.
    """

    name: str
    command: Callable[[Path, Path], list[str]]
    frames: Callable[[Path, str], int | None]
    corpora: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    cores: int = 0
    is_slow: bool = False


def printed_frames(_: Path, printed: str) -> int | None:
    """Return the number in the last line `frames N` of the output of a script."""
    numbers = [line.split()[1] for line in printed.splitlines() if line.startswith("frames ")]
    return int(numbers[-1]) if numbers else None


def frames_of_dataset(out: Path, _: str) -> int | None:
    """Return the number of frames of a dataset; 0 if an array did not read back exactly."""
    counts: dict[str, int] = json.loads((out / "dataset" / "dataset.json").read_text())["counts"]
    exact = ",mismatch," not in (out / "dataset" / "reports" / "depth.csv").read_text()
    return counts["frames"] if exact else 0


def frames_of_nifti(out: Path, _: str) -> int | None:
    """Return the number of slices in all NIfTI files, from `dim` in bytes 40 to 56 of their headers."""
    total = 0
    for path in [*out.rglob("*.nii"), *out.rglob("*.nii.gz")]:
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as stream:
            dimensions = np.frombuffer(stream.read(348)[40:56], "<i2").astype(int)
        total += int(np.prod(np.maximum(dimensions[3 : dimensions[0] + 1], 1)))
    return total


def frames_of_medh5(tool: Path) -> Callable[[Path, str], int]:
    """Return a function for the number of slices in all files of medh5, as its own command states them."""

    def frames(out: Path, _: str) -> int:
        command = [str(tool / "medh5"), "info", "--json"]
        infos = [
            json.loads(subprocess.run([*command, str(path)], check=True, capture_output=True).stdout)
            for path in out.glob("*.medh5")
        ]
        shapes = [image["shape"] for info in infos for image in info["images"]]
        return sum(math.prod(shape[:-2]) for shape in shapes)

    return frames


PROGRAM = ROOT / "scripts" / "dicomzarr" / "commands" / "run" / "snakemake_process.py"  # what ./run starts
TRACE = "trace.jsonl"  # beside the results of a run of the workflow


def workflow(cores: int, **settings: str) -> Callable[[Path, Path], list[str]]:
    """Return a function for the command of a whole run, checks included, which writes a trace of its jobs."""

    def command(source: Path, out: Path) -> list[str]:
        config, trace = out.parent / "config.json", out.parent / TRACE
        config.write_text(json.dumps({"source": str(source), "results": str(out), **settings}))
        program = [sys.executable, "-P", "-c", TRACED, str(trace), str(PROGRAM), "--snakefile"]
        return [*program, str(ROOT / "Snakefile"), "--cores", str(cores), "--configfile", str(config)]

    return command


def extraction_seconds(out: Path) -> float:
    """Return the seconds from the first log line of the extraction to the last log line of the checks."""
    times = []
    for path in [*(out / "logs").glob("extract_batch/*.log"), *(out / "logs").glob("check_batch/*.log")]:
        lines = path.read_text().splitlines()
        times += [datetime.strptime(line[:23], "%Y-%m-%d %H:%M:%S,%f") for line in (lines[0], lines[-1])]
    return (max(times) - min(times)).total_seconds()


def environment(name: str, folder: Path) -> Path | None:
    """Return the `bin` folder of a tool's environment, made on first use; None if it cannot be installed."""
    path = folder / name
    stamp = path / "installed.txt"
    if not stamp.exists() or stamp.read_text() != PACKAGES[name]:
        print(f"installing {PACKAGES[name]} into {path}", file=sys.stderr, flush=True)
        venv.create(path, with_pip=True, clear=True)
        install = [str(path / "bin" / "python"), "-m", "pip", "install", "--quiet", PACKAGES[name]]
        if subprocess.run(install, check=False).returncode:
            print(f"{PACKAGES[name]} cannot be installed: it is left out", file=sys.stderr, flush=True)
            return None
        stamp.write_text(PACKAGES[name])
    return path / "bin"


def peers(cores: int, environments: Path, tools: Sequence[str]) -> list[Peer]:
    """Return the competitors on this machine.

    Parameters
    ----------
    cores : int
        Cores of the workflow; other tools use as many as they choose.
    environments : Path
        Folder for environments of other tools.
    tools : sequence of str
        Keys of `PACKAGES`, to be installed from the package registry.
    """
    usual = ("ct", "mr", "enhanced", "mixed", "many")
    ours = (*usual, "one", "large", "half", "quarter")
    balanced, scan = workflow(cores, compression="balanced"), workflow(cores, compression="balanced", burned_in="scan")
    competitors = [
        Peer("balanced", balanced, frames_of_dataset, ours, KEY, cores),
        Peer("fast", workflow(cores, compression="fast"), frames_of_dataset, ("ct",), KEY, cores),
    ]
    bin_folders = {name: environment(name, environments) for name in tools}
    if tool := bin_folders.get("dcm2niix"):  # beside the runs that it is compared with
        corpora = (*usual[:4], "half")
        competitors.append(Peer("dcm2niix -z n", _dcm2niix(tool, "n"), frames_of_nifti, corpora))
    competitors += [
        Peer("naive script", _script(sys.executable, NAIVE), printed_frames, usual[:4]),
        Peer("cat", _cat, _unknown, usual),
        Peer("balanced, 1 core", workflow(1, compression="balanced"), frames_of_dataset, ("ct",), KEY, 1),
        Peer(SCAN, scan, frames_of_dataset, ("ct",), KEY, cores, is_slow=True),
    ]
    if tool := bin_folders.get("medh5"):
        competitors.append(Peer(MEDH5, _medh5(tool, cores), frames_of_medh5(tool), ("ct",), is_slow=True))
    if tool := bin_folders.get("dcm2niix"):
        competitors.append(Peer("dcm2niix -z y", _dcm2niix(tool, "y"), frames_of_nifti, ("ct",), is_slow=True))
    if tool := bin_folders.get("simpleitk"):
        script = _script(str(tool / "python"), SIMPLEITK)
        competitors.append(Peer("SimpleITK", script, printed_frames, ("ct",), is_slow=True))
    if tool := bin_folders.get("imagetools"):
        competitors.append(Peer("med-imagetools", _imagetools(tool), frames_of_nifti, ("ct",), is_slow=True))
    return competitors


def _cat(source: Path, _: Path) -> list[str]:
    return ["sh", "-c", f"find '{source}' -type f -exec cat {{}} + >/dev/null"]


def _unknown(_: Path, __: str) -> int | None:
    return None


def _script(python: str, text: str) -> Callable[[Path, Path], list[str]]:
    return lambda source, out: [python, "-c", text, str(source), str(out)]


def _dcm2niix(tool: Path, flag: str) -> Callable[[Path, Path], list[str]]:
    return lambda source, out: [
        *(str(tool / "dcm2niix"), "-z", flag, "-b", "n", "-f", "%j", "-o", str(out), str(source)),
    ]


def _imagetools(tool: Path) -> Callable[[Path, Path], list[str]]:
    return lambda source, out: [
        *(str(tool / "imgtools"), "-q", "autopipeline", str(source), str(out / "nifti")),
        *("--modalities", "CT", "--jobs", "2", "--crawl-directory", str(out / "crawl")),
    ]


def _medh5(tool: Path, cores: int) -> Callable[[Path, Path], list[str]]:
    # Its exit code is 1 where it has a warning, such as that of slices with different tube currents.
    script = '"$0" --threads "$1" convert from-dicom "$2" "$3/" --json >/dev/null || test $? = 1'
    return lambda source, out: ["sh", "-c", script, str(tool / "medh5"), str(cores), str(source), str(out)]
