"""Attributes of an image that the header index holds, and the geometric types of the standard."""

from __future__ import annotations

from typing import TypedDict

# Image Position (Patient) (0020,0032) and other points and directions: x, y, z in LPS, points in mm.
Vector = tuple[float, float, float]
# Image Orientation (Patient) (0020,0037): row cosines, then column cosines.
Cosines = tuple[float, float, float, float, float, float]


class PixelLocation(TypedDict):
    """Position of the value of the pixel data element in the file.

    `offset` and `length` are in bytes; `length` is -1 for an undefined length (encapsulated). For a deflated data set
    they refer to the inflated data set, whose first byte is 0.
    """

    keyword: str  # PixelData, FloatPixelData or DoubleFloatPixelData
    vr: str  # OB, OW, OF, OD, UN, or "" where the syntax is implicit
    offset: int
    length: int


class ImageFacts(TypedDict, total=False):
    """Attributes of an image, by DICOM keyword, as the header index holds them; an absent key means unknown.

    Strings are stripped of padding; numbers are Python numbers; multi-valued attributes are lists. They may identify a
    patient: they are stored below `results/private/` only.
    """

    TransferSyntaxUID: str
    SOPClassUID: str
    SOPInstanceUID: str
    StudyInstanceUID: str
    SeriesInstanceUID: str
    PatientID: str
    IssuerOfPatientID: str
    Modality: str
    ImageType: list[str]
    BurnedInAnnotation: str
    RecognizableVisualFeatures: str
    ConversionType: str
    BodyPartExamined: str
    InstanceNumber: int
    AcquisitionNumber: int
    SeriesNumber: int
    TemporalPositionIdentifier: int
    EchoTime: float
    EchoNumbers: int
    InversionTime: float
    DiffusionBValue: float  # from a private element of Siemens or GE where (0018,9087) is missing
    DiffusionGradientOrientation: list[float]
    TriggerTime: float
    AcquisitionDateTime: str
    AcquisitionDate: str
    AcquisitionTime: str
    ContentDate: str
    ContentTime: str
    FrameTime: float
    FrameTimeVector: list[float]
    FrameReferenceTime: float
    Rows: int
    Columns: int
    SamplesPerPixel: int
    PhotometricInterpretation: str
    PlanarConfiguration: int
    BitsAllocated: int
    BitsStored: int
    HighBit: int
    PixelRepresentation: int
    NumberOfFrames: int
    ImagePositionPatient: list[float]
    ImageOrientationPatient: list[float]
    PixelSpacing: list[float]
    ImagerPixelSpacing: list[float]
    NominalScannedPixelSpacing: list[float]
    PixelAspectRatio: list[int]
    SliceThickness: float
    SpacingBetweenSlices: float
    GridFrameOffsetVector: list[float]
    DoseGridScaling: float
    DoseUnits: str
    RescaleSlope: float
    RescaleIntercept: float
    WindowCenter: list[float]
    WindowWidth: list[float]
    PixelPaddingValue: int
    PixelPaddingRangeLimit: int
    SmallestImagePixelValue: int
    LargestImagePixelValue: int
    LossyImageCompression: str
    has_functional_groups: bool  # has PerFrameFunctionalGroupsSequence; extraction reads it itself
    describes_head: bool  # Study Description, Series Description or Protocol Name names the head
    has_modality_lut: bool
    has_palette: bool
    pixel: PixelLocation
    content_sha256: str  # of the whole file; only where SeriesInstanceUID or SOPInstanceUID is missing
