"""Other tools that look for text, each in an environment of its own: made on request, kept in a folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from benchmarks.text_in_pixels.drawing import Sample
from benchmarks.text_in_pixels.images import Picture

WORKER = Path(__file__).with_name("worker.py")
PACKAGES = {
    "tesseract": ("pytesseract==0.3.13", "numpy", "pillow"),
    "presidio": ("presidio-image-redactor==0.0.62",),
    "dentdeid": ("dentdeid==0.1.0",),
}
NEED_TESSERACT = ("tesseract", "presidio")
LANGUAGES = ("eng", "osd", "deu", "rus", "ell", "chi-sim", "jpn", "kor", "ara")
NOTES = {
    "tesseract": "words of 3 characters or more (2 of Chinese, Japanese, Korean) with a confidence above 60, at once "
    "and twice the size, in the language of the text",
    "presidio": "its DICOM engine, with the text in the header, where it looks for what to find, and in the language "
    "of the text; without a model of names, since `en_core_web_lg` is in no package registry",
    "dentdeid": "regions of text on the views of its DICOM pipeline; made for dental radiographs",
}


class Unavailable(Exception):
    """A tool cannot be installed or run; the message says why."""


@dataclass
class Answers:
    """What a tool said about frames, in their order; fewer than all if it took too long.

    Attributes
    ----------
    version : str
    boxes : list of list of tuple of int
        Of each frame: top, left, bottom, right.
    cpu : list of float
        Seconds of each frame.
    errors : int
        Frames on which the tool failed.
    """

    version: str
    boxes: list[list[tuple[int, int, int, int]]] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    errors: int = 0


def _run(command: Sequence[str], what: str, environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, **(environment or {})}
    )
    if done.returncode:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise Unavailable(f"{what}: {(lines or ['no output'])[-1].strip()[:150]}")
    return done.stdout


def tesseract_of_debian(folder: Path) -> dict[str, str]:
    """Unpack Debian's Tesseract with its languages into a folder, without installing it; return the environment.

    Raises
    ------
    Unavailable
        If there is neither apt-get nor a Tesseract on the machine, or the packages cannot be had.
    """
    if not shutil.which("apt-get") or not shutil.which("dpkg"):
        if shutil.which("tesseract"):
            return {}
        raise Unavailable("Tesseract: neither apt-get nor a tesseract command on this machine")
    root = folder / "root"
    if not (root / "usr/bin/tesseract").exists():
        archives = folder / "archives"
        (archives / "partial").mkdir(parents=True, exist_ok=True)
        names = ["tesseract-ocr", *(f"tesseract-ocr-{language}" for language in LANGUAGES)]
        options = ["-o", "Debug::NoLocking=1", "-o", f"Dir::Cache::archives={archives}", "--no-install-recommends"]
        # What a package needs and the machine has already is not fetched.
        command = ["apt-get", "-qq", *options, "--reinstall", "--download-only", "-y", "install", *names]
        _run(command, "tesseract-ocr of Debian")
        for package in sorted(archives.glob("*.deb")):
            _run(["dpkg", "-x", str(package), str(root)], "tesseract-ocr of Debian")
    libraries = sorted({str(path.parent) for path in root.rglob("lib*.so*")})
    data = next(path.parent for path in root.rglob("eng.traineddata"))
    variables = {"PATH": f"{root / 'usr/bin'}:{os.environ['PATH']}", "TESSDATA_PREFIX": str(data)}
    return variables | ({"LD_LIBRARY_PATH": ":".join(libraries)} if libraries else {})


def environment(tool: str, folder: Path) -> tuple[Path, dict[str, str]]:
    """Return the interpreter of a tool's environment and its variables; it is made if it is not there.

    Raises
    ------
    Unavailable
        If a package cannot be installed.
    """
    variables = {"OMP_THREAD_LIMIT": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    if tool in NEED_TESSERACT:
        variables |= tesseract_of_debian(folder / "tesseract-ocr")
    home = folder / tool
    python = home / "bin" / "python"
    ready = home / "ready"
    if not ready.exists():
        shutil.rmtree(home, ignore_errors=True)
        venv.create(home, with_pip=True)
        _run([str(python), "-m", "pip", "install", "-q", *PACKAGES[tool]], f"pip install {' '.join(PACKAGES[tool])}")
        ready.touch()
    return python, variables


def write_frames(items: Sequence[Sample | Picture], folder: Path) -> None:
    """Write frames and their index, as worker.py reads them."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "index.jsonl").open("w") as index:
        for number, item in enumerate(items):
            np.save(folder / f"{number}.npy", item.frame)
            script, text = (item.factors.script, item.factors.text) if isinstance(item, Sample) else ("Latin", "")
            print(json.dumps({"file": f"{number}.npy", "script": script, "text": text}), file=index)


def ask(tool: str, frames: Path, environments: Path, seconds: float) -> Answers:
    """Run a tool on a folder of frames, at most for some seconds.

    Raises
    ------
    Unavailable
        If the tool cannot be installed or ends with an error.
    """
    python, variables = environment(tool, environments)
    print(f"{tool} looks", file=sys.stderr, flush=True)
    _run([str(python), str(WORKER), tool, str(frames), str(seconds)], tool, variables)
    answers = Answers((frames / f"{tool}.version").read_text())
    for line in (frames / f"{tool}.jsonl").read_text().splitlines():
        answer = json.loads(line)
        answers.boxes.append([(top, left, bottom, right) for top, left, bottom, right in answer["boxes"]])
        answers.cpu.append(answer["cpu"])
        answers.errors += "error" in answer
    return answers
