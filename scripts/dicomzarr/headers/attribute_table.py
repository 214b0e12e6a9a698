"""The table of the attributes that the header index stores: tag, keyword, VR and form."""

from __future__ import annotations

from typing import Final, NamedTuple

from dicomzarr.dicom.vr import TEXT_VRS, UNSTATED


class PrivateElement(NamedTuple):
    """A private element: its group and the last two digits of its number, and whose it is.

    A private element belongs to the creator of its block (PS3.5 7.8.1): (gggg,bbee) to the text of (gggg,00bb). Some
    archives remove the creator but not the element: then Manufacturer (0008,0070) decides, for block 10.
    """

    name: str
    group: int
    element: int
    creator: str
    maker: str  # beginning of Manufacturer (0008,0070), upper case
    vr: str
    form: str


PRIVATE: Final = (
    PrivateElement("b_value_siemens", 0x0019, 0x0C, "SIEMENS MR HEADER", "SIEMENS", "IS", "integer"),
    PrivateElement("direction_siemens", 0x0019, 0x0E, "SIEMENS MR HEADER", "SIEMENS", "FD", "reals"),
    PrivateElement("sequence_ge", 0x0019, 0x9C, "GEMS_ACQU_01", "GE MEDICAL", "LO", "text"),
    PrivateElement("run_ge", 0x0019, 0xA2, "GEMS_ACQU_01", "GE MEDICAL", "SL", "first"),
    PrivateElement("direction_ge_1", 0x0019, 0xBB, "GEMS_ACQU_01", "GE MEDICAL", "DS", "real"),
    PrivateElement("direction_ge_2", 0x0019, 0xBC, "GEMS_ACQU_01", "GE MEDICAL", "DS", "real"),
    PrivateElement("direction_ge_3", 0x0019, 0xBD, "GEMS_ACQU_01", "GE MEDICAL", "DS", "real"),
    PrivateElement("component_ge", 0x0043, 0x2F, "GEMS_PARM_01", "GE MEDICAL", "SS", "first"),
    PrivateElement("quantity_ge", 0x0043, 0x30, "GEMS_PARM_01", "GE MEDICAL", "SS", "first"),
    PrivateElement("b_value_ge", 0x0043, 0x39, "GEMS_PARM_01", "GE MEDICAL", "IS", "first"),
    PrivateElement("b_value_uih", 0x0065, 0x09, "Image Private Header", "UIH", "FD", "real"),
    PrivateElement("direction_uih", 0x0065, 0x37, "Image Private Header", "UIH", "FD", "reals"),
    PrivateElement("coil_siemens", 0x0051, 0x0F, "SIEMENS MR HEADER", "SIEMENS", "LO", "text"),
    PrivateElement("b_value_philips", 0x2001, 0x03, "Philips Imaging DD 001", "PHILIPS", "FL", "real"),
    PrivateElement("word_philips", 0x2001, 0x04, "Philips Imaging DD 001", "PHILIPS", "CS", "text"),
    PrivateElement("velocity_philips", 0x2001, 0x1A, "Philips Imaging DD 001", "PHILIPS", "FL", "reals"),
    PrivateElement("direction_philips_1", 0x2005, 0xB0, "Philips MR Imaging DD 001", "PHILIPS", "FL", "real"),
    PrivateElement("direction_philips_2", 0x2005, 0xB1, "Philips MR Imaging DD 001", "PHILIPS", "FL", "real"),
    PrivateElement("direction_philips_3", 0x2005, 0xB2, "Philips MR Imaging DD 001", "PHILIPS", "FL", "real"),
)
CREATOR: Final = "creator"
BLOCKS: Final = range(0x10, 0x20)  # that are looked into; scanners reserve them from 10 on

# Tag: (keyword, VR of PS3.6, form). Forms:
#   text        one string                          id       a string that is only compared or hashed
#   texts       a list of strings                   integer  one integer
#   integers    a list of integers                  real     one finite number
#   reals       a list of finite numbers            pixel    one integer, signed as the pixels are (US or SS)
#   first       the first of several numbers        present  True where the element is present, even if empty
#   head        True where a text names the head
#   head_codes  True where the meaning of a code in a sequence does
#   velocity    the end of a name of Siemens' sequences that says how velocity was encoded
#   digest      a digest of the bytes of a sequence
#   real_world, radionuclide, detector, energy: numbers within the items of a sequence, see `sequence_values`
ATTRIBUTES: Final[dict[int, tuple[str, str, str]]] = {
    0x00080008: ("ImageType", "CS", "texts"),
    0x00080016: ("SOPClassUID", "UI", "id"),
    0x00080018: ("SOPInstanceUID", "UI", "id"),
    0x00080022: ("AcquisitionDate", "DA", "text"),
    0x00080023: ("ContentDate", "DA", "text"),
    0x0008002A: ("AcquisitionDateTime", "DT", "text"),
    0x00080032: ("AcquisitionTime", "TM", "text"),
    0x00080033: ("ContentTime", "TM", "text"),
    0x00080060: ("Modality", "CS", "text"),
    0x00080064: ("ConversionType", "CS", "text"),
    0x00080070: ("Manufacturer", "LO", "text"),
    0x00081030: ("describes_head", "LO", "head"),
    0x00081032: ("describes_head", "SQ", "head_codes"),
    0x0008103E: ("SeriesDescription", "LO", "id"),
    0x00082218: ("describes_head", "SQ", "head_codes"),
    0x00089208: ("ComplexImageComponent", "CS", "text"),
    0x00100020: ("PatientID", "LO", "id"),
    0x00100021: ("IssuerOfPatientID", "LO", "id"),
    0x00180010: ("ContrastBolusAgent", "LO", "id"),
    0x00180015: ("BodyPartExamined", "CS", "text"),
    0x00180020: ("ScanningSequence", "CS", "id"),
    0x00180021: ("SequenceVariant", "CS", "texts"),
    0x00180022: ("ScanOptions", "CS", "id"),
    0x00180024: ("velocity_encoding", "SH", "velocity"),
    0x00180050: ("SliceThickness", "DS", "real"),
    0x00180060: ("KVP", "DS", "real"),
    0x00180080: ("RepetitionTime", "DS", "real"),
    0x00180081: ("EchoTime", "DS", "first"),
    0x00180082: ("InversionTime", "DS", "real"),
    0x00180086: ("EchoNumbers", "IS", "first"),
    0x00180087: ("MagneticFieldStrength", "DS", "real"),
    0x00180088: ("SpacingBetweenSlices", "DS", "real"),
    0x00181030: ("describes_head", "LO", "head"),
    0x00181060: ("TriggerTime", "DS", "real"),
    0x00181063: ("FrameTime", "DS", "real"),
    0x00181065: ("FrameTimeVector", "DS", "reals"),
    0x00181114: ("EstimatedRadiographicMagnificationFactor", "DS", "real"),
    0x00181160: ("FilterType", "SH", "id"),
    0x00181164: ("ImagerPixelSpacing", "DS", "reals"),
    0x00181210: ("ConvolutionKernel", "SH", "text"),
    0x00181242: ("ActualFrameDuration", "IS", "first"),
    0x00181250: ("ReceiveCoilName", "SH", "text"),
    0x00181314: ("FlipAngle", "DS", "real"),
    0x00182010: ("NominalScannedPixelSpacing", "DS", "reals"),
    0x00189075: ("DiffusionDirectionality", "CS", "text"),
    0x00189087: ("DiffusionBValue", "FD", "real"),
    0x00189089: ("DiffusionGradientOrientation", "FD", "reals"),
    0x00189364: ("energy", "SQ", "energy"),
    0x0018937C: ("MonoenergeticEnergyEquivalent", "FD", "real"),
    0x00189423: ("describes_head", "LO", "head"),
    0x00189424: ("describes_head", "LT", "head"),
    0x0020000D: ("StudyInstanceUID", "UI", "id"),
    0x0020000E: ("SeriesInstanceUID", "UI", "id"),
    0x00200011: ("SeriesNumber", "IS", "integer"),
    0x00200012: ("AcquisitionNumber", "IS", "integer"),
    0x00200013: ("InstanceNumber", "IS", "integer"),
    0x00200032: ("ImagePositionPatient", "DS", "reals"),
    0x00200037: ("ImageOrientationPatient", "DS", "reals"),
    0x00200052: ("FrameOfReferenceUID", "UI", "id"),
    0x00200060: ("Laterality", "CS", "text"),
    0x00200062: ("ImageLaterality", "CS", "text"),
    0x00200100: ("TemporalPositionIdentifier", "IS", "integer"),
    0x00209241: ("NominalPercentageOfCardiacPhase", "FL", "real"),
    0x00209245: ("NominalPercentageOfRespiratoryPhase", "FL", "real"),
    0x00280002: ("SamplesPerPixel", "US", "integer"),
    0x00280004: ("PhotometricInterpretation", "CS", "text"),
    0x00280006: ("PlanarConfiguration", "US", "integer"),
    0x00280008: ("NumberOfFrames", "IS", "integer"),
    0x00280010: ("Rows", "US", "integer"),
    0x00280011: ("Columns", "US", "integer"),
    0x00280030: ("PixelSpacing", "DS", "reals"),
    0x00280034: ("PixelAspectRatio", "IS", "integers"),
    0x00280051: ("CorrectedImage", "CS", "texts"),
    0x00280A02: ("PixelSpacingCalibrationType", "CS", "text"),
    0x00280100: ("BitsAllocated", "US", "integer"),
    0x00280101: ("BitsStored", "US", "integer"),
    0x00280102: ("HighBit", "US", "integer"),
    0x00280103: ("PixelRepresentation", "US", "integer"),
    0x00280106: ("SmallestImagePixelValue", "US", "pixel"),
    0x00280107: ("LargestImagePixelValue", "US", "pixel"),
    0x00280120: ("PixelPaddingValue", "US", "pixel"),
    0x00280121: ("PixelPaddingRangeLimit", "US", "pixel"),
    0x00280301: ("BurnedInAnnotation", "CS", "text"),
    0x00280302: ("RecognizableVisualFeatures", "CS", "text"),
    0x00281050: ("WindowCenter", "DS", "reals"),
    0x00281051: ("WindowWidth", "DS", "reals"),
    0x00281052: ("RescaleIntercept", "DS", "real"),
    0x00281053: ("RescaleSlope", "DS", "real"),
    0x00281054: ("RescaleType", "LO", "text"),
    0x00281056: ("VOILUTFunction", "CS", "text"),
    0x00281101: ("has_palette", "US", "present"),
    0x00281221: ("has_palette", "OW", "present"),
    0x00282110: ("LossyImageCompression", "CS", "text"),
    0x00283000: ("has_modality_lut", "SQ", "present"),
    0x00321060: ("describes_head", "LO", "head"),
    0x00321064: ("describes_head", "SQ", "head_codes"),
    0x00400254: ("describes_head", "LO", "head"),
    0x00400260: ("describes_head", "SQ", "head_codes"),
    0x00409096: ("real_world", "SQ", "real_world"),
    0x00540010: ("EnergyWindowVector", "US", "integers"),
    0x00540016: ("radionuclide", "SQ", "radionuclide"),
    0x00540020: ("DetectorVector", "US", "integers"),
    0x00540022: ("detector", "SQ", "detector"),
    0x00540030: ("PhaseVector", "US", "integers"),
    0x00540050: ("RotationVector", "US", "integers"),
    0x00540060: ("RRIntervalVector", "US", "integers"),
    0x00540070: ("TimeSlotVector", "US", "integers"),
    0x00540071: ("NumberOfTimeSlots", "US", "integer"),
    0x00540080: ("SliceVector", "US", "integers"),
    0x00540081: ("NumberOfSlices", "US", "integer"),
    0x00540090: ("AngularViewVector", "US", "integers"),
    0x00540100: ("TimeSliceVector", "US", "integers"),
    0x00541000: ("SeriesType", "CS", "texts"),
    0x00541001: ("Units", "CS", "text"),
    0x00541002: ("CountsSource", "CS", "text"),
    0x00541006: ("SUVType", "CS", "text"),
    0x00541102: ("DecayCorrection", "CS", "text"),
    0x00541300: ("FrameReferenceTime", "DS", "real"),
    0x00541330: ("ImageIndex", "US", "integer"),
    0x30040002: ("DoseUnits", "CS", "text"),
    0x30040004: ("DoseType", "CS", "text"),
    0x3004000A: ("DoseSummationType", "CS", "text"),
    0x3004000C: ("GridFrameOffsetVector", "DS", "reals"),
    0x3004000E: ("DoseGridScaling", "DS", "real"),
    0x300C0002: ("dose_references", "SQ", "digest"),
    0x52009229: ("has_functional_groups", "SQ", "present"),
    0x52009230: ("has_functional_groups", "SQ", "present"),
}
# Private elements of each block, and the creators of the blocks.
for _element in PRIVATE:
    for _block in BLOCKS:
        _tag = _element.group << 16 | _block << 8 | _element.element
        ATTRIBUTES[_tag] = (_element.name, _element.vr, _element.form)
        ATTRIBUTES[_element.group << 16 | _block] = (CREATOR, "LO", "text")
PRIVATE_TAGS: Final = frozenset(tag for tag in ATTRIBUTES if tag >> 16 & 1)
# Sequences of which the bytes are read, whatever the length says.
SEQUENCES: Final = frozenset(tag for tag, (_, vr, form) in ATTRIBUTES.items() if vr == "SQ" and form != "present")
# How many numbers a value has; another count is unusable.
COUNTS: Final = {
    "PixelSpacing": 2,
    "ImagerPixelSpacing": 2,
    "NominalScannedPixelSpacing": 2,
    "ImagePositionPatient": 3,
    "ImageOrientationPatient": 6,
    "DiffusionGradientOrientation": 3,
}
# Numbers whose loss is flagged by attribute; the pixel module is judged by `classify`.
NUMBERS: Final = frozenset(
    keyword
    for keyword, vr, form in ATTRIBUTES.values()
    if vr in ("DS", "IS", "FD", "FL") and form in ("real", "reals", "first", "integer", "integers")
) - {"NumberOfFrames"} | {"RadionuclideHalfLife", "RadionuclideTotalDose"}
# Of ELSCINT1: how the pixels in (07A1,100A) are compressed, of an image without Pixel Data. Only read to recognise it.
PRIVATE_COMPRESSION: Final = 0x07A11011
_TEXTS: Final = frozenset(tag for tag, (_, vr, _) in ATTRIBUTES.items() if vr in TEXT_VRS) - PRIVATE_TAGS


def is_searched(tag: int, vr: str) -> bool:
    """Return whether a wanted element is a text that may identify a patient: the privacy search gets it, too.

    Parameters
    ----------
    tag : int
        Of `ATTRIBUTES`, or `PRIVATE_COMPRESSION`.
    vr : str
        As the file states it; one of `UNSTATED` where it does not: a private element may then be text.

    Returns
    -------
    bool
    """
    is_private_text = tag in PRIVATE_TAGS and vr in UNSTATED
    return tag in _TEXTS or vr in TEXT_VRS or is_private_text or tag == PRIVATE_COMPRESSION
