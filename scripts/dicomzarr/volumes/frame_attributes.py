"""`FrameAttributes`: what the header says of one frame, while it is collected from the places where it may stand."""

from __future__ import annotations

from dataclasses import dataclass, field

from dicomzarr.dicom.facts import Cosines, Vector

# Of a multi-frame image: how many numbers of Dimension Index Values (0020,9157) may sort its frames.
DIMENSIONS = 9
B_VECTOR = ("b_vector_x", "b_vector_y", "b_vector_z")
# GE writes the direction in the frame of the image (frequency, phase, slice): it distinguishes, and is no b-vector.
B_VECTOR_OF_IMAGE = ("b_vector_image_1", "b_vector_image_2", "b_vector_image_3")
# Values of Diffusion Directionality (0018,9075): there is a direction, also where it is not stated.
DIRECTIONAL = frozenset({"DIRECTIONAL", "BMATRIX"})
DETECTOR_SPACING = ("detector_spacing_row_mm", "detector_spacing_column_mm")
VELOCITY = ("velocity_direction_x", "velocity_direction_y", "velocity_direction_z")


@dataclass(slots=True)
class FrameAttributes:
    """Attributes of one frame; None or empty where the header does not give them there."""

    position: Vector | None = None
    orientation: Cosines | None = None
    # Whether position and orientation are in the coordinates of an ultrasound volume, not of the patient.
    in_volume: bool = False
    spacing: tuple[float, float] | None = None
    spacing_source: str = ""
    causes: dict[str, float] = field(default_factory=dict)
    terms: dict[str, str] = field(default_factory=dict)
    constants: dict[str, float] = field(default_factory=dict)
    kernel: str = ""
    rescale: tuple[float, float] | None = None
    real_world: tuple[float, float] | None = None
    window: tuple[tuple[float, float], ...] = ()
    window_function: str = ""
    image_type: tuple[str, ...] = ()
    tables: dict[str, str] = field(default_factory=dict)
    stack: str = ""
    slide_depth: float | None = None  # Z Offset in Slide Coordinate System (0040,074A), as it is written
    optical_path: str = ""  # Optical Path Identifier (0048,0106)
    names_head: bool = False  # whether Frame Anatomy Sequence (0020,9071) names the head; the text is not stored


@dataclass(slots=True)
class Defects:
    """Flags of a file, and the keywords of attributes whose numbers cannot be read.

    Attributes
    ----------
    flags : set of str
        Codes of `vocabulary.flags.FLAGS`.
    unreadable : set of str
        Keywords, never values.
    """

    flags: set[str] = field(default_factory=set)
    unreadable: set[str] = field(default_factory=set)
