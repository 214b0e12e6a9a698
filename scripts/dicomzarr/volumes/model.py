"""`Frame`: one source frame with the attributes that sort it. `Volume`: one array to be written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from dicomzarr.dicom.facts import Cosines, Vector

IN_VOLUME: Final = "volume_coordinates"  # flag of frames whose positions are not in the patient


@dataclass(frozen=True, slots=True)
class Frame:
    """One source frame, a (rows, columns) plane as it will be stored, with the attributes that sort it into a volume.

    Attributes
    ----------
    source : int
        Index of its file in the series' list of files.
    number, frames_in_file : int
        0-based index of the frame in its file; number of frames of that file.
    content : str
        BLAKE3 of the file, hex: the last sort key, which depends on the data alone.
    dtype : str
        NumPy dtype of the array, little-endian, such as ``<i2`` or ``|u1``.
    photometric : str
        Photometric Interpretation (0028,0004) of the array: RGB after conversion; else as in the header.
    position : tuple of 3 float, optional
        Image Position (Patient) (0020,0032), mm, LPS; with the flag `IN_VOLUME`, Image Position (Volume) (0020,9301).
    orientation : tuple of 6 float, optional
        Image Orientation (Patient) (0020,0037), or (Volume) (0020,9302): row cosines, then column cosines.
    pixel_spacing : tuple of 2 float, optional
        Pixel Spacing (0028,0030): distance between rows, then between columns, mm, in the patient (not at the
        detector).
    causes : mapping of str to float
        Attributes that may distinguish frames at one position, by the names of `t_axis.CAUSES` (seconds, ms, counts).
    terms : mapping of str to str
        Facts of acquisition from closed vocabularies, such as ``complex_component``. Frames whose terms differ never
        share a volume.
    constants : mapping of str to float
        Numbers that describe the acquisition and sort nothing, such as ``slice_thickness_mm``.
    coil : str
        What names the receive coil of an MR image: Receive Coil Name (0018,1250) and the coil string of Siemens
        (0051,xx0F). Several coils of one place are distinguished by it; the text is never written.
    setting : str
        Other words on how an image was made, such as Filter Type (0018,1160). They part scans between each other, and
        number images of one place; the text is never written.
    kernel : str
        Convolution Kernel (0018,1210). Frames of different kernels never share a volume; the text is never written.
    tables : mapping of str to str
        What makes values of stored ones, or says what they are: digests of lookup tables and of the scaling of a dose,
        the codes of the quantity of a map. Frames whose tables differ never share a volume; none is written.
    frame_of_reference : str
        Frame of Reference UID (0020,0052) of the file; never written.
    concatenation : str
        Concatenation UID (0020,9161) of a file that is one part of a larger multi-frame image.
    concatenation_offset : int
        Concatenation Frame Offset Number (0020,9228): frames of that image before this file.
    stack : str
        Stack ID (0020,9056) of a frame; never written.
    slide_depth : float, optional
        Z Offset in Slide Coordinate System (0040,074A) of a tile, as it is written.
    optical_path : str
        Optical Path Identifier (0048,0106) of a tile; never written.
    spacing_source : str
        Keyword of the attribute from which `pixel_spacing` was taken.
    real_world : tuple of 2 float, optional
        Real World Value Slope (0040,9225) and Intercept (0040,9224).
    rescale : tuple of 2 float, optional
        Rescale Slope (0028,1053) and Intercept (0028,1052).
    window : tuple of pairs of float
        Window Center (0028,1050) and Width (0028,1051), pairwise.
    window_function : str
        VOI LUT Function (0028,1056) of the windows: ``LINEAR_EXACT``, ``SIGMOID``, or empty for ``LINEAR``.
    mosaic : mapping, optional
        Layout of the tiles, of an image whose slices are tiles: see `volumes.mosaic.read_mosaic`.
    flags : tuple of str
        Codes of `flags.FLAGS` for defects of the header that concern geometry or numbers.
    unreadable_numbers : tuple of str
        Keywords of the file's attributes whose numbers cannot be read, sorted.
    names_head : bool
        Whether Frame Anatomy Sequence (0020,9071) names the head.
    """

    source: int
    number: int
    frames_in_file: int
    content: str
    sop_instance_uid: str
    sop_class_uid: str
    modality: str
    image_type: tuple[str, ...]
    rows: int
    columns: int
    samples: int
    dtype: str
    photometric: str
    bits_stored: int
    position: Vector | None = None
    orientation: Cosines | None = None
    pixel_spacing: tuple[float, float] | None = None
    causes: Mapping[str, float] = field(default_factory=dict)
    terms: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, float] = field(default_factory=dict)
    coil: str = ""
    setting: str = ""
    kernel: str = ""
    tables: Mapping[str, str] = field(default_factory=dict)
    frame_of_reference: str = ""
    concatenation: str = ""
    concatenation_offset: int = 0
    stack: str = ""
    slide_depth: float | None = None
    optical_path: str = ""
    spacing_source: str = ""
    real_world: tuple[float, float] | None = None
    rescale: tuple[float, float] | None = None
    window: tuple[tuple[float, float], ...] = ()
    window_function: str = ""
    mosaic: Mapping[str, object] | None = None
    flags: tuple[str, ...] = ()
    unreadable_numbers: tuple[str, ...] = ()
    names_head: bool = False

    @property
    def image(self) -> str | int:
        """What the frames of one image have in common, also where it is in several files: parts of a concatenation."""
        return self.concatenation or self.source

    @property
    def number_in_image(self) -> int:
        """Its number in the image, from 0; in the file, where the frames before a part are not known."""
        return max(self.concatenation_offset, 0) + self.number if self.concatenation else self.number


@dataclass(frozen=True, slots=True)
class Place:
    """A frame with its 0-based index on `t` and on `z`; None where the array has no such axis."""

    frame: Frame
    t: int | None
    z: int | None


@dataclass(frozen=True, slots=True)
class Volume:
    """One array to be written.

    Attributes
    ----------
    discriminators : tuple of str
        Quantised attributes that distinguish the volume from others of its series; its id is a hash of them. They do
        not depend on which frames it holds.
    kind : str
        volume, image, cine, tiles, segmentation, dose, parametric_map, frames or mosaic.
    why : str
        Why these frames form one volume and others of the series do not belong to it, in words with numbers.
    axes : tuple of str
        In the order t, c, z, y, x, each only if the data has it.
    shape : tuple of int
        Shape of the array along `axes`; places fill it without holes.
    places : tuple of Place
        In array order: t slowest, then z.
    spacing_mm : mapping of str to float
        Spacing on z, y and x where it is known; never assumed.
    affine_lps : tuple of 4 tuples of 4 float, optional
        Index (x, y, z, 1) to LPS, mm.
    affine_residual_mm : float, optional
        Largest distance of a slice's position from the affine, where the affine was fitted to rounded positions.
    positions_mm : tuple of float, optional
        Depth of each slice along the normal, mm, where spacing is not uniform.
    positions_lps : tuple of tuples of 3 float, optional
        Position of each slice, mm, LPS, where slices are neither evenly spaced nor along the normal.
    acquisition : mapping of str to object
        Facts of acquisition that are the same for all frames: numbers, vectors and terms of closed vocabularies.
    group : tuple of str
        What all volumes share that belong together as one set, such as the b-values of a series that was split.
    t_axis : mapping, optional
        ``{"means": [...], "values": [...]}``: a value, or a row of values where several causes are listed, per index.
    group_id : str
        Pseudonym of `group`, the same in all volumes of the set.
    split_by : tuple of str
        What parts this volume from the others of its series; empty if the series is one volume.
    missing_slices : int
        Number of positions of the regular grid, between the first and the last slice, that have no slice.
    flags : tuple of str
        Codes of `flags.FLAGS`, sorted.
    origin_lps : tuple of 3 float, optional
        Centre of the first voxel of the first slice, mm, LPS. Known also where an affine is not (a single slice,
        uneven slices).
    orientation_lps : tuple of 6 float, optional
        Direction of rising x, then of rising y: unit vectors, LPS.
    """

    discriminators: tuple[str, ...]
    kind: str
    why: str
    axes: tuple[str, ...]
    shape: tuple[int, ...]
    places: tuple[Place, ...]
    spacing_mm: Mapping[str, float] = field(default_factory=dict)
    affine_lps: tuple[tuple[float, ...], ...] | None = None
    affine_residual_mm: float | None = None
    positions_mm: tuple[float, ...] | None = None
    positions_lps: tuple[Vector, ...] | None = None
    acquisition: Mapping[str, object] = field(default_factory=dict)
    group: tuple[str, ...] = ()
    group_id: str = ""
    split_by: tuple[str, ...] = ()
    t_axis: Mapping[str, object] | None = None
    missing_slices: int = 0
    flags: tuple[str, ...] = ()
    origin_lps: Vector | None = None
    orientation_lps: Cosines | None = None
