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


class Radionuclide(TypedDict, total=False):
    """Numbers of Radiopharmaceutical Information Sequence (0054,0016)."""

    half_life: float  # s
    dose: float  # Bq in PET, MBq in NM


class Detector(TypedDict):
    """Where Detector Information Sequence (0054,0022) places the first frame."""

    position: list[float]
    orientation: list[float]


class MaskReferences(TypedDict, total=False):
    """What a segmentation or structure set says of the image that it belongs to."""

    series: list[str]  # Series Instance UIDs
    instances: list[str]  # SOP Instance UIDs; at most `masks.references.MOST_INSTANCES`
    frames_of_reference: list[str]  # Frame of Reference UIDs
    extent: list[float]  # smallest x, y, z and largest x, y, z, mm, LPS, of its frames or contours


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
    FrameOfReferenceUID: str
    PatientID: str
    IssuerOfPatientID: str
    Modality: str
    ImageType: list[str]
    BurnedInAnnotation: str
    RecognizableVisualFeatures: str
    ConversionType: str
    BodyPartExamined: str
    Laterality: str
    ImageLaterality: str
    InstanceNumber: int
    AcquisitionNumber: int
    SeriesNumber: int
    TemporalPositionIdentifier: int
    EchoTime: float
    EchoNumbers: int
    InversionTime: float
    DiffusionBValue: float  # from a private element where (0018,9087) is missing: see `headers.private_values`
    DiffusionGradientOrientation: list[float]
    DiffusionDirectionality: str
    direction_of_image: list[float]  # GE: gradient along frequency, phase and slice of the image
    FlipAngle: float
    RepetitionTime: float
    MagneticFieldStrength: float
    KVP: float
    MonoenergeticEnergyEquivalent: float
    energy: float  # the same, from Multi-energy CT Characteristics Sequence (0018,9364)
    ComplexImageComponent: str
    ConvolutionKernel: str
    NominalPercentageOfCardiacPhase: float
    NominalPercentageOfRespiratoryPhase: float
    ActualFrameDuration: float
    SequenceVariant: list[str]
    ScanningSequence: str
    ScanOptions: str
    FilterType: str
    ContrastBolusAgent: str
    SeriesDescription: str  # only compared, and searched for words for the head
    velocity_encoding: str  # the end of Sequence Name (0018,0024) of Siemens: cm/s and a word for the direction
    CorrectedImage: list[str]
    Units: str
    CountsSource: str
    DecayCorrection: str
    SUVType: str
    radionuclide: Radionuclide
    detector: Detector
    EnergyWindowVector: list[int]
    DetectorVector: list[int]
    PhaseVector: list[int]
    RotationVector: list[int]
    RRIntervalVector: list[int]
    TimeSlotVector: list[int]
    SliceVector: list[int]
    AngularViewVector: list[int]
    TimeSliceVector: list[int]
    NumberOfSlices: int
    NumberOfTimeSlots: int
    SeriesType: list[str]
    ImageIndex: int
    ReceiveCoilName: str
    raw_data_run: int  # GE: a counter
    quantity_of_ge: str  # what an image shows, where its series shows several quantities
    coil_string: str  # Siemens: the elements of the receive coil
    real_world: list[
        float | str
    ]  # Real World Value Slope (0040,9225) and Intercept (0040,9224), and the code of the unit
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
    EstimatedRadiographicMagnificationFactor: float
    PixelAspectRatio: list[int]
    PixelSpacingCalibrationType: str
    SliceThickness: float
    SpacingBetweenSlices: float
    GridFrameOffsetVector: list[float]
    DoseGridScaling: float
    DoseUnits: str
    DoseType: str
    DoseSummationType: str
    dose_references: str  # digest of Referenced RT Plan Sequence (300C,0002): plans, fraction groups and beams
    RescaleSlope: float
    RescaleIntercept: float
    RescaleType: str
    WindowCenter: list[float]
    WindowWidth: list[float]
    VOILUTFunction: str
    PixelPaddingValue: int
    PixelPaddingRangeLimit: int
    SmallestImagePixelValue: int
    LargestImagePixelValue: int
    LossyImageCompression: str
    has_functional_groups: bool  # has per-frame or shared functional groups; extraction reads them itself
    describes_head: bool  # a description of study, procedure or protocol, or a code of region or procedure
    has_modality_lut: bool
    has_palette: bool
    unreadable_numbers: list[str]  # keywords of attributes whose numbers cannot be read
    nonstandard_numbers: list[str]  # keywords of numbers that were read although DICOM does not allow their form
    implausible_numbers: list[str]  # keywords of numbers that were dropped: see `dicom.plausible`
    pixel: PixelLocation
    mask_references: MaskReferences  # of segmentations and structure sets alone
    content_sha256: str  # of the whole file; only where SeriesInstanceUID or SOPInstanceUID is missing
