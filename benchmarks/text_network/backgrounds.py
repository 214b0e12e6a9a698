"""Real backgrounds: images that packages of PyPI, npm and Debian carry for their tests and examples.

    python benchmarks/text_network/backgrounds.py FOLDER     counts the images of each package

FOLDER is what fetch.sh filled. README.md says which packages, and under which licences. Images that may have text of
their own are left out.
"""

from __future__ import annotations

import gzip
import io
import sys
import tarfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import nibabel
import numpy as np
import pydicom
from numpy.typing import NDArray

Frames = Sequence[NDArray[np.float16]]  # each of shape (rows, columns); half precision keeps 150 MB in memory, not 300

SMALLEST, LARGEST = 48, 1600  # pixels of a side: smaller images are left out, larger ones reduced
DARK, BRIGHT = 0.5, 99.8  # percentiles that become 0 and 1, as in dicomzarr.burned_in.scan
LEAST_DEVIATION = 1e-3  # of the pixels of a frame: below, there is nothing in it

WITH_TEXT = ("US", "OT")  # modalities whose images have text burned in
MOST_FRAMES = 8  # of a DICOM file

MAPS_OF_LABELS = ("aal.nii.gz", "brodmann.nii.gz", "jhu189.nii.gz", "natbrainlab.nii.gz", "AICHAmc.nii.gz")
SLICES, SLICES_OF_LABELS = 12, 4  # across each axis of a volume; maps of labels look much alike
FIRST, LAST = 0.15, 0.85  # where they begin and end, as shares of the axis: beyond there is often nothing

CRANIUM = "Cranium.inv3"  # a CT in the format of InVesalius: a tar with the voxels in one file
CRANIUM_SHAPE = (108, 256, 256)  # slices, rows, columns; int16
CRANIUM_ISOTROPIC = 216  # rows of a slice along the long axis, so that its pixels are about square

PICTURES = "scikit-image/skimage/data"
# Text, or lettering in what is shown.
NO_PICTURES = ("text.png", "page.png", "logo.png", "rocket.jpg", "clock_motion.png")
NO_PICTURES += ("astronaut.png", "coins.png", "motorcycle_left.png", "motorcycle_right.png")


def read_frames(packages: Path) -> Frames:
    """Return the images of all packages, always in the same order.

    Parameters
    ----------
    packages : Path
        The folder that fetch.sh filled: one folder for each package, with its name.

    Returns
    -------
    list of ndarray of float16, shape (rows, columns)
        0 for nearly the darkest and 1 for nearly the brightest pixels of each; from -0.5 to 2.

    Raises
    ------
    FileNotFoundError
        If the folder has no images.
    """
    frames = [frame for _, frame in _named_frames(packages)]
    if not frames:
        raise FileNotFoundError(f"no images in {packages}: fill it with fetch.sh")
    return frames


def _named_frames(packages: Path) -> Iterator[tuple[str, NDArray[np.float16]]]:
    """Yield the name of the package, and the image."""
    for path, image in _images(packages):
        frame = prepared(image)
        if frame is not None:
            yield path.relative_to(packages).parts[0], frame


def prepared(image: NDArray[Any]) -> NDArray[np.float16] | None:
    """Return an image as backgrounds are kept, or None if it is too small or has nothing in it.

    Parameters
    ----------
    image : ndarray, shape (rows, columns) or (rows, columns, samples)
        Stored values; of colours the brightest sample counts.

    Returns
    -------
    ndarray of float16, shape (rows, columns), or None
        As of `read_frames`.
    """
    if min(image.shape[:2]) < SMALLEST:
        return None
    values = image.astype(np.float32)
    if max(values.shape[:2]) > LARGEST:
        scale = LARGEST / max(values.shape[:2])
        values = cv2.resize(values, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    if values.ndim == 3:
        values = values[..., :3].max(axis=2)
    low, high = np.percentile(values[::2, ::2], (DARK, BRIGHT))
    if high <= low:
        low, high = values.min(), values.max()
    if high <= low:
        return None
    frame = np.clip((values - low) / (high - low), -0.5, 2).astype(np.float16)
    return frame if frame.astype(np.float32).std() > LEAST_DEVIATION else None


def _images(packages: Path) -> Iterator[tuple[Path, NDArray[Any]]]:
    """Yield the path and the stored values of each image."""
    paths = sorted(path for path in packages.rglob("*") if path.is_file())
    readers = ((".dcm", ".dcm.gz"), _of_dicom), ((".nii", ".nii.gz"), _of_nifti), ((CRANIUM,), _of_cranium)
    for endings, read in readers:
        for path in paths:
            if path.name.endswith(endings):
                yield from ((path, image) for image in read(path))
    for path in paths:
        in_place = path.parent == packages / PICTURES and path.name not in NO_PICTURES
        if in_place and path.suffix in (".png", ".jpg"):
            yield from ((path, image) for image in _of_picture(path))


def _of_dicom(path: Path) -> Iterator[NDArray[Any]]:
    """Yield some frames of a DICOM file, from first to last."""
    stored = path.read_bytes()
    dataset = pydicom.dcmread(io.BytesIO(gzip.decompress(stored) if path.suffix == ".gz" else stored), force=True)
    if "PixelData" not in dataset or dataset.get("Modality") in WITH_TEXT:
        return
    pixels, count = dataset.pixel_array, int(dataset.get("NumberOfFrames", 1) or 1)
    if count == 1:
        yield pixels
    else:
        yield from (pixels[number] for number in np.linspace(0, count - 1, min(count, MOST_FRAMES)).astype(int))


def _of_nifti(path: Path) -> Iterator[NDArray[Any]]:
    """Yield slices across each axis of a volume, of a series its first."""
    voxels = np.asarray(nibabel.load(path).dataobj)
    if voxels.ndim == 4:
        voxels = voxels[..., 0]
    if voxels.ndim != 3:
        return
    of_labels = "label" in path.name or path.name in MAPS_OF_LABELS
    for axis, length in enumerate(voxels.shape):
        slices = np.linspace(length * FIRST, length * LAST, SLICES_OF_LABELS if of_labels else SLICES)
        yield from (np.take(voxels, number, axis) for number in slices.astype(int))


def _of_cranium(path: Path) -> Iterator[NDArray[Any]]:
    """Yield every second slice of a CT of a head, and some slices along its long axis."""
    with tarfile.open(path) as archive:
        (member,) = (member for member in archive if member.name.endswith("matrix.dat"))
        voxels = np.frombuffer(archive.extractfile(member).read(), "<i2").reshape(CRANIUM_SHAPE)
    yield from voxels[::2]
    size = (CRANIUM_SHAPE[2], CRANIUM_ISOTROPIC)
    for number in range(20, 240, 12):
        yield cv2.resize(voxels[:, number].astype(np.float32), size)
        yield cv2.resize(voxels[:, :, number].astype(np.float32), size)


def _of_picture(path: Path) -> Iterator[NDArray[Any]]:
    """Yield the mean of the colours of a picture, and its blue."""
    colours = cv2.imread(str(path))
    yield colours.mean(axis=2)
    yield colours[..., 0]


if __name__ == "__main__":
    counts = Counter(package for package, _ in _named_frames(Path(sys.argv[1])))
    for package, count in sorted(counts.items()):
        print(f"{count:5} {package}")
    print(f"{counts.total():5} in all")
