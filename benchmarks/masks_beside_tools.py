"""Masks of the public conformance set with analytic truth: ours beside those of other tools.

    python -m benchmarks.masks_beside_tools FIXTURE --verifier PYTHON [--tool NAME=PYTHON ...] [--work FOLDER]

FIXTURE is what ``rtmask-conformance generate FIXTURE`` writes (github.com/brianmanderson/RTMaskConformanceTest);
PYTHON is the interpreter of an environment in which the verifier, or a tool, is installed. Each tool runs in its own
environment and makes a mask of each of the seven shapes from the same files; the verifier compares all of them with
the truth. Prints a table in Markdown, and fails if ours is worse than a tool or does not pass.

NAME is one of rt-utils, platipy, dcmrtstruct2nii, med-imagetools.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

Masks = Mapping[str, Any]  # of each shape by name: an array along z, y and x
STRUCTURES = "rtstruct/primitives_planar.dcm"
IMAGES = "refct"
LEAST_DICE, LARGEST_HD95 = 0.95, 2.0
LENGTH = 4  # decimals at which two figures are equal


# ---- Converters: each runs in the environment of its tool


def ours(fixture: Path) -> Masks:
    """Masks of this project: the grid comes from the headers of the images."""
    from pydicom import dcmread

    from dicomzarr.masks.contours import mask_of_contours
    from dicomzarr.masks.grid import ImageGrid
    from dicomzarr.masks.structure_set import read_structure_set

    headers = [dcmread(path, stop_before_pixels=True) for path in sorted((fixture / IMAGES).iterdir())]
    headers.sort(key=lambda header: float(header.ImagePositionPatient[2]))
    first = headers[0]
    cosines = np.array(first.ImageOrientationPatient, float)
    row_mm, column_mm = map(float, first.PixelSpacing)
    grid = ImageGrid(
        array="conformance",
        axes="zyx",
        shape=(len(headers), first.Rows, first.Columns),
        origins=np.array([header.ImagePositionPatient for header in headers], float),
        across=tuple((cosines[:3] * column_mm).tolist()),
        down=tuple((cosines[3:] * row_mm).tolist()),
    )
    structures = read_structure_set((fixture / STRUCTURES).read_bytes())
    return {roi.description.label: mask_of_contours(roi, grid).values for roi in structures.rois}


def rt_utils(fixture: Path) -> Masks:
    """Masks of rt-utils, whose axes are y, x, z."""
    from rt_utils import RTStructBuilder

    structures = RTStructBuilder.create_from(str(fixture / IMAGES), str(fixture / STRUCTURES))
    masks = {name: structures.get_roi_mask_by_name(name) for name in structures.get_roi_names()}
    return {name: np.moveaxis(mask, 2, 0) for name, mask in masks.items()}


def dcmrtstruct2nii(fixture: Path) -> Masks:
    """Masks of dcmrtstruct2nii, which writes NIfTI."""
    from dcmrtstruct2nii import dcmrtstruct2nii as convert

    with tempfile.TemporaryDirectory() as folder:
        convert(str(fixture / STRUCTURES), str(fixture / IMAGES), folder, convert_original_dicom=False)
        return {path.name[5:-7]: _read_nifti(path) for path in Path(folder).glob("mask_*.nii.gz")}


def platipy(fixture: Path) -> Masks:
    """Masks of platipy, which writes NIfTI."""
    from platipy.dicom.io.rtstruct_to_nifti import convert_rtstruct

    with tempfile.TemporaryDirectory() as folder:
        convert_rtstruct(str(fixture / IMAGES), str(fixture / STRUCTURES), prefix="", output_dir=folder)
        return {path.name[:-7]: _read_nifti(path) for path in Path(folder).glob("*.nii.gz")}


def med_imagetools(fixture: Path) -> Masks:
    """Masks of med-imagetools, on its own image of the series."""
    from imgtools.coretypes import MedImage
    from imgtools.coretypes.masktypes import RTStructureSet
    from imgtools.io.readers import read_dicom_series

    image = MedImage(read_dicom_series(str(fixture / IMAGES))[0])
    structures = RTStructureSet.from_dicom(fixture / STRUCTURES)
    size = (*tuple(image.GetSize())[::-1], 1)
    return {name: structures.get_mask_ndarray(image, name, size) for name in structures.roi_names}


def _read_nifti(path: Path) -> Any:
    """Return an image of which index and place are the same, as in the conformance set."""
    import SimpleITK

    image = SimpleITK.ReadImage(str(path))
    assert np.allclose(image.GetOrigin(), 0) and np.allclose(image.GetDirection(), np.eye(3).ravel()), path.name
    return SimpleITK.GetArrayFromImage(image)


TOOLS: dict[str, Callable[[Path], Masks]] = {
    "dicomzarr": ours,
    "rt-utils": rt_utils,
    "platipy": platipy,
    "dcmrtstruct2nii": dcmrtstruct2nii,
    "med-imagetools": med_imagetools,
}


def convert(tool: str, fixture: Path, folder: Path) -> None:
    """Write the masks of a tool as .npy, and its version."""
    from importlib.metadata import PackageNotFoundError, version

    for name, mask in TOOLS[tool](fixture).items():
        np.save(folder / f"{name}.npy", (np.asarray(mask) > 0).astype(np.uint8))
    try:
        found = version(tool)
    except PackageNotFoundError:
        found = ""
    (folder / "version").write_text(found)


# ---- The comparison


def run_tool(tool: str, python: str, fixture: Path, work: Path) -> str:
    """Run a tool in its environment and write its masks in the form of the verifier; return its version."""
    import nibabel

    folder = work / tool
    folder.mkdir(parents=True, exist_ok=True)
    command = [python, __file__, str(fixture), "--convert", tool, "--work", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{tool} failed:\n{done.stderr[-2000:]}")
    for path in folder.glob("*.npy"):
        truth = nibabel.load(fixture / "groundtruth" / f"{path.stem}.nii.gz")
        mask = np.load(path).transpose(2, 1, 0)
        assert mask.shape == truth.shape, (tool, path.stem, mask.shape)
        nibabel.save(nibabel.Nifti1Image(mask, truth.affine), folder / f"{path.stem}.nii.gz")
    return (folder / "version").read_text()


def verify(python: str, fixture: Path, folder: Path) -> dict[str, dict[str, float]]:
    """Return the metrics of the verifier by shape; without metrics where a tool gave no mask."""
    report = folder / "report.json"
    command = [python, "-c", "import sys; from rtmask_conformance.cli import main; sys.exit(main())", "verify"]
    command += ["--predictions", str(folder), "--groundtruth", str(fixture / "groundtruth")]
    subprocess.run([*command, "--report-json", str(report)], capture_output=True, check=False)
    results = json.loads(report.read_text())["results"]
    return {row["roi"]: {**(row["metrics"] or {}), "passed": row["status"] == "PASS"} for row in results}


def signed_volume_error(metrics: Mapping[str, float]) -> float:
    """Return the error of a volume in percent, negative where it is too small."""
    return 100 * (metrics["tool_volume_mm3"] / metrics["reference_volume_mm3"] - 1)


def table(results: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    """Return a table: a row for each shape, a column for each tool."""
    lines = ["| shape | " + " | ".join(results) + " |", "|---" * (1 + len(results)) + "|"]
    for shape in next(iter(results.values())):
        cells = []
        for rows in results.values():
            row = rows.get(shape, {})
            cells.append(
                f"{row['dice']:.4f} · {row['hd95_mm']:.1f} · {signed_volume_error(row):+.2f}"
                if "dice" in row
                else "none"
            )
        lines.append(f"| {shape} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> int:
    """Print the table; return 1 if ours does not pass, or a tool is better on a shape."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fixture", type=Path)
    parser.add_argument("--verifier", metavar="PYTHON")
    parser.add_argument("--tool", action="append", default=[], metavar="NAME=PYTHON")
    parser.add_argument("--work", type=Path)
    parser.add_argument("--convert", choices=TOOLS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.convert:
        if options.convert == "dicomzarr":
            sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))
        convert(options.convert, options.fixture, options.work)
        return 0
    pythons = {"dicomzarr": sys.executable, **dict(pair.split("=", 1) for pair in options.tool)}
    results, versions = {}, {}
    with tempfile.TemporaryDirectory() as temporary:
        work = options.work or Path(temporary)
        for tool, python in pythons.items():
            versions[tool] = run_tool(tool, python, options.fixture, work)
            results[tool] = verify(options.verifier, options.fixture, work / tool)
    print(table(results))
    print("\nDice · 95 % Hausdorff distance in mm · error of the volume in %")
    print(", ".join(f"{tool} {found}".strip() for tool, found in versions.items()))
    failed = 0
    for shape, mine in results["dicomzarr"].items():
        if not mine["passed"] or mine["dice"] < LEAST_DICE or mine["hd95_mm"] > LARGEST_HD95:
            failed += 1
            print(f"{shape}: does not pass")
        for tool, rows in results.items():
            if round(rows[shape].get("dice", 0), LENGTH) > round(mine["dice"], LENGTH):
                failed += 1
                print(f"{shape}: {tool} is better")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
