"""Memory of extraction and check does not grow with the number of frames."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import Workflow
from dicoms import ct_slice, save

MIB = 1 << 20
FRAME = 512 * 512 * 2  # bytes
# The largest process of all that a run consists of, Snakemake's own included.
PEAK = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:], stdout=sys.stderr).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""


def sparse_file(path: Path, frames: int) -> None:
    """Write a multi-frame file whose pixels are a hole, but for the first and the last frame."""
    geometry = {"ImagePositionPatient": None, "ImageOrientationPatient": None, "NumberOfFrames": frames}
    dataset = ct_slice("sparse", 0, pixels=np.zeros((512, 512)), **geometry)
    dataset.PixelData = b""
    save(dataset, path)
    size = path.stat().st_size
    with open(path, "r+b") as stream:
        stream.seek(size - 4)
        stream.write((frames * FRAME).to_bytes(4, "little"))
        for frame in (0, frames - 1):
            stream.seek(size + frame * FRAME)
            stream.write(np.full(FRAME // 2, frame % 4000, "<i2").tobytes())
    assert path.stat().st_size == size + frames * FRAME


def peaks(folder: Path, frames: int) -> dict[str, float]:
    """Run the workflow on a sparse file; return peak memory in MiB, of any process and of the two that read pixels."""
    workflow = Workflow(folder, environment={"DICOMZARR_KEY": "k" * 32})
    workflow.write_config()
    sparse_file(workflow.source / "sparse.dcm", frames)
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(workflow.project / "Snakefile")]
    command += ["--cores", "1", "--configfile", "config.yaml", "--quiet"]
    environment = os.environ | workflow.environment
    run = subprocess.run(
        [sys.executable, "-c", PEAK, *command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr[-3000:]
    peak_of = {"any": int(run.stdout) / 1024}
    for rule in ("extract_batch", "check_batch"):
        for table in (workflow.results / "benchmarks" / rule).glob("*.tsv"):
            head, row = (line.split("\t") for line in table.read_text().splitlines())
            if (value := row[head.index("max_rss")]) != "NA":  # the job was shorter than Snakemake took to look at it
                peak_of[rule] = max(peak_of.get(rule, 0), float(value))
    volumes = (workflow.results / "dataset/volumes.csv").read_text().splitlines()
    assert len(volumes) == 2 and f",{frames}x512x512," in volumes[1]
    print(f"{frames} frames, {frames * FRAME // MIB} MiB: peak MiB {peak_of}")
    return peak_of


@pytest.mark.slow
@pytest.mark.parametrize(
    "frames",
    [
        pytest.param(1024, id="512 MiB"),
        pytest.param(
            8191,
            id="4 GiB",
            marks=pytest.mark.skipif(not os.environ.get("DICOMZARR_LARGE"), reason="takes a minute: DICOMZARR_LARGE=1"),
        ),
    ],
)
def test_memory_does_not_grow_with_the_number_of_frames(tmp_path: Path, frames: int) -> None:
    few, many = peaks(tmp_path / "few", 16), peaks(tmp_path / "many", frames)
    assert many["any"] < 256
    # Sixty-four times as many frames or more: room for the table of frames, none for their pixels.
    assert many["any"] < few["any"] + 24
    assert many.get("extract_batch", 0) < 128 and many.get("check_batch", 0) < 128
