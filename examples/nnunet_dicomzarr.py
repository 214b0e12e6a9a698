"""Let nnU-Net v2 read images and masks of a dicomzarr dataset in place, without a copy as NIfTI.

`./run export_nnunet` with `nnunet: {format: zarr}` writes a file `.dicomzarr` for each image and each label map: JSON
that says where the image lies. nnU-Net looks for readers in its own package, so copy this file there:

    cp examples/nnunet_dicomzarr.py "$(python -c 'import nnunetv2.imageio as m; print(m.__path__[0])')"

It needs zarr (pip install zarr) and what nnU-Net itself needs. Arrays, spacing and properties are those that nnU-Net's
SimpleITKIO gives for the export as NIfTI, which holds its geometry in 32-bit floats.
"""

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import zarr
from nnunetv2.imageio.base_reader_writer import BaseReaderWriter

ENDING = ".dicomzarr"
RAW = "nnUNet_raw"
VERSION = 2  # of the files of the export
CHANGED = "its image or masks changed since the export; run export_nnunet again"


class DicomZarrIO(BaseReaderWriter):
    """Read and write the files of `export_nnunet`. A prediction is a `.nii.gz`, and a `.dicomzarr` that names it."""

    supported_file_endings = [ENDING]

    def read_images(self, image_fnames):
        """Return the images of a case, float32, shape (c, z, y, x), and their properties."""
        images, properties = [], []
        for name in image_fnames:
            content = json.loads(Path(name).read_bytes())
            stored = zarr.open_array(str(_image(Path(name), content) / "0"), mode="r")[...]
            images.append(_scaled(stored, content["slope"], content["intercept"])[None])
            properties.append(_properties(content["affine_lps"]))
        for image, other in zip(images, properties, strict=True):
            if image.shape != images[0].shape or other["spacing"] != properties[0]["spacing"]:
                raise RuntimeError(f"images of one case differ in shape or spacing: {image_fnames}")
        return np.vstack(images, dtype=np.float32, casting="unsafe"), properties[0]

    def read_seg(self, seg_fname):
        """Return a label map, float32, shape (1, z, y, x), and its properties."""
        content = json.loads(Path(seg_fname).read_bytes())
        if "prediction" in content:
            image = sitk.ReadImage(str(Path(seg_fname).parent / content["prediction"]))
            numbers = sitk.GetArrayFromImage(image)
            stuff = {"spacing": image.GetSpacing(), "origin": image.GetOrigin(), "direction": image.GetDirection()}
            properties = {"sitk_stuff": stuff, "spacing": list(np.abs(image.GetSpacing()[::-1]))}
            return numbers[None].astype(np.float32), properties
        image = _image(Path(seg_fname), content)
        numbers = np.zeros(zarr.open_array(str(image / "0"), mode="r").shape, np.uint8)
        for value in sorted({mask["value"] for mask in content["masks"]}):
            inside = np.zeros(numbers.shape, bool)
            for mask in content["masks"]:
                if mask["value"] == value:
                    voxels = zarr.open_array(str(image / "labels" / mask["mask"] / "0"), mode="r")[...]
                    inside |= voxels >= mask["threshold"]
            if not content["may_overlap"] and numbers[inside].any():  # a sum would be another label, or none
                raise RuntimeError(f"{Path(seg_fname).name}: {CHANGED}")
            numbers += inside * np.uint8(value)
        return numbers[None].astype(np.float32), _properties(content["affine_lps"])

    def write_seg(self, seg, output_fname, properties):
        """Write a predicted label map, shape (z, y, x)."""
        image = sitk.GetImageFromArray(seg.astype(np.uint8 if seg.max() < 255 else np.uint16))
        stuff = properties["sitk_stuff"]
        image.SetSpacing(stuff["spacing"])
        image.SetOrigin(stuff["origin"])
        image.SetDirection(stuff["direction"])
        path = Path(output_fname)
        prediction = path.with_name(path.name.removesuffix(ENDING) + ".nii.gz")
        sitk.WriteImage(image, str(prediction), True)
        path.write_text(json.dumps({"dicomzarr_case": VERSION, "prediction": prediction.name}) + "\n")


def _image(path, content):
    """Return the folder of the image of a file, if metadata and voxels are those of the export.

    Its path is relative to the folder of the dataset: two above the file, or, since nnU-Net copies label files to
    `nnUNet_preprocessed`, below `nnUNet_raw`.
    """
    if content["dicomzarr_case"] != VERSION:
        raise RuntimeError(f"{path.name}: made by another version of dicomzarr; copy its reader, or export again")
    places = [path.resolve().parents[1]]
    if RAW in os.environ:
        places.append((Path(os.environ[RAW]) / content["dataset"]).resolve())
    found = [place / content["image"] for place in places if (place / content["image"] / "zarr.json").exists()]
    if not found:
        raise FileNotFoundError(f"{path.name}: its image is missing; {RAW} is the folder exports/nnunet of the results")
    described = {each.relative_to(found[0]).as_posix() for each in (found[0] / "labels").glob("**/zarr.json")}
    same = described <= set(content["sha256"])  # else there is a mask that the export does not know
    if not same or any(_sha256(found[0] / name) != digest for name, digest in content["sha256"].items()):
        raise RuntimeError(f"{path.name}: {CHANGED}")
    return found[0]


def _sha256(path):
    """Return the SHA-256 of a file; None if there is none."""
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as stream:
            while block := stream.read(1 << 22):
                digest.update(block)
    except FileNotFoundError:
        return None
    return digest.hexdigest()


def _scaled(stored, slope, intercept):
    """Return physical values as ITK computes them from NIfTI: from 32 bits, in 64 bits, to 32 bits."""
    if (slope, intercept) == (1.0, 0.0):
        return stored.astype(np.float32)
    return (stored.astype(np.float32).astype(np.float64) * slope + intercept).astype(np.float32)


def _properties(affine_lps):
    """Return the properties of an image from its affine: index (x, y, z, 1) to mm, LPS."""
    affine = np.asarray(affine_lps, np.float64)
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    spacing = tuple(float(np.float32(length)) for length in lengths)
    origin = tuple(float(np.float32(value)) for value in affine[:3, 3])
    stuff = {"spacing": spacing, "origin": origin, "direction": tuple((affine[:3, :3] / lengths).ravel().tolist())}
    return {"sitk_stuff": stuff, "spacing": list(np.abs(spacing[::-1]))}
