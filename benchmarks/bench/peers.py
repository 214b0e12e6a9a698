"""Who takes part: this workflow, a naive script, `cat`, and tools of others in environments of their own."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import venv
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
# Environment -> what is installed into it.
PACKAGES = {
    "dcm2niix": "dcm2niix==1.0.20260724",
    "simpleitk": "simpleitk==2.5.7",
    "imagetools": "med-imagetools==2.16.0",
}
KEY = {"DICOMZARR_KEY": "a key for benchmarks, no secret at all"}

NAIVE = """
import os, pickle, sys
import pydicom
images = []
for folder, _, names in sorted(os.walk(sys.argv[1])):
    for name in sorted(names):
        images.append(pydicom.dcmread(os.path.join(folder, name), force=True).pixel_array)
with open(sys.argv[2] + "/images.pickle", "wb") as stream:
    pickle.dump(images, stream)
print("frames", len(images))
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
    """A competitor: how to start it on a source, and how to count the frames it wrote (None: it does not say).

    Attributes
    ----------
    corpora : tuple of str
        Where it takes part.
    """

    name: str
    command: Callable[[Path, Path], list[str]]
    frames: Callable[[Path, str], int | None]
    corpora: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)


def said_frames(_: Path, said: str) -> int | None:
    """Return the number that a script printed last."""
    found = [line.split()[1] for line in said.splitlines() if line.startswith("frames ")]
    return int(found[-1]) if found else None


def frames_of_dataset(out: Path, _: str) -> int | None:
    """Return the frames of a dataset; none where an array did not read back exactly."""
    counts: dict[str, int] = json.loads((out / "dataset" / "dataset.json").read_text())["counts"]
    exact = ",mismatch," not in (out / "dataset" / "reports" / "depth.csv").read_text()
    return counts["frames"] if exact else 0


def frames_of_nifti(out: Path, _: str) -> int | None:
    """Return the slices of all NIfTI files, by the dimensions in bytes 40 to 56 of their headers."""
    total = 0
    for path in [*out.rglob("*.nii"), *out.rglob("*.nii.gz")]:
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as stream:
            dimensions = np.frombuffer(stream.read(348)[40:56], "<i2").astype(int)
        total += int(np.prod(np.maximum(dimensions[3 : dimensions[0] + 1], 1)))
    return total


def workflow(compression: str, cores: int) -> Callable[[Path, Path], list[str]]:
    """Return the command of a whole run, verification included."""

    def command(source: Path, out: Path) -> list[str]:
        config = out.parent / "config.json"
        config.write_text(json.dumps({"source": str(source), "results": str(out), "compression": compression}))
        snakemake = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
        return [*snakemake, "--cores", str(cores), "--configfile", str(config)]

    return command


def span(out: Path) -> float:
    """Return the seconds from the first line that extraction logged to the last of the checks."""
    times = []
    for path in [*(out / "logs").glob("extract_batch/*.log"), *(out / "logs").glob("check_batch/*.log")]:
        lines = path.read_text().splitlines()
        times += [datetime.strptime(line[:23], "%Y-%m-%d %H:%M:%S,%f") for line in (lines[0], lines[-1])]
    return (max(times) - min(times)).total_seconds()


def environment(name: str, folder: Path) -> Path | None:
    """Return the programs of a peer's environment, made on first use, or None where it cannot be installed."""
    place = folder / name
    done = place / "installed.txt"
    if not done.exists() or done.read_text() != PACKAGES[name]:
        print(f"installing {PACKAGES[name]} into {place}", file=sys.stderr, flush=True)
        venv.create(place, with_pip=True, clear=True)
        install = [str(place / "bin" / "python"), "-m", "pip", "install", "--quiet", PACKAGES[name]]
        if subprocess.run(install, check=False).returncode:
            print(f"{PACKAGES[name]} cannot be installed here: it does not take part", file=sys.stderr, flush=True)
            return None
        done.write_text(PACKAGES[name])
    return place / "bin"


def peers(cores: int, environments: Path, wanted: Sequence[str]) -> list[Peer]:
    """Return everyone who takes part on this machine.

    Parameters
    ----------
    cores : int
        Of the workflow; the others take what they take.
    environments : Path
        Where environments of peers are kept.
    wanted : sequence of str
        Names of `PACKAGES` to take from the registry.
    """
    every = ("ct", "mr", "mixed", "many")
    ours = (*every, "one", "large", "half", "quarter")
    found = [
        Peer("balanced", workflow("balanced", cores), frames_of_dataset, ours, KEY),
        Peer("fast", workflow("fast", cores), frames_of_dataset, ("ct",), KEY),
        Peer("balanced, 1 core", workflow("balanced", 1), frames_of_dataset, ("ct",), KEY),
        Peer("naive script", _script(sys.executable, NAIVE), said_frames, every[:3]),
        Peer("cat", _cat, _nothing, every),
    ]
    places = {name: environment(name, environments) for name in wanted}
    if tool := places.get("dcm2niix"):
        for flag, corpora in (("n", (*every[:3], "half")), ("y", ("ct",))):
            found.append(Peer(f"dcm2niix -z {flag}", _dcm2niix(tool, flag), frames_of_nifti, corpora))
    if tool := places.get("simpleitk"):
        found.append(Peer("SimpleITK", _script(str(tool / "python"), SIMPLEITK), said_frames, ("ct",)))
    if tool := places.get("imagetools"):
        found.append(Peer("med-imagetools", _imagetools(tool), frames_of_nifti, ("ct",)))
    return found


def _cat(source: Path, _: Path) -> list[str]:
    return ["sh", "-c", f"find '{source}' -type f -exec cat {{}} + >/dev/null"]


def _nothing(_: Path, __: str) -> int | None:
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
