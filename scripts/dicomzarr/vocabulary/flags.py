"""All flags of volumes and report rows: code -> meaning, in tables by origin."""

from __future__ import annotations

SERIES_FLAGS = {
    "unknown_subject": "Patient ID (0010,0020) and its issuer are empty: one subject for each study",
    "no_series_uid": "Series Instance UID (0020,000E) is missing: each file is a series of its own",
    "shared_series_uid": "the same Series Instance UID occurs under another subject; they are separate series",
    "shared_study_uid": "the same Study Instance UID occurs under another subject: a patient may have two Patient IDs",
    "several_studies": "files of the series name different studies; `study_id` is the first in order",
    "face_risk": "the face may be rendered from it: a scan of the head, or one that may hold it",
    "face_by_geometry": "`face_risk` was set by modality and field of view, since no header says for certain which "
    "part of the body it is",
    "same_pixels_elsewhere": "the same pixels occur under another subject; see the report",
    "incomplete": "files of this volume were quarantined, so it has fewer frames than its source",
    "images_elsewhere": "other images of the series are in an array of another series, which has the same SOP Instance "
    "UIDs",
    "series_incomplete": "images of the series were quarantined; they would have been other arrays",
}
HEADER_FLAGS = {
    "assumed_transfer_syntax": "no transfer syntax is declared; it was inferred from the structure of the data set",
    "wrong_transfer_syntax": "the data set is not encoded as declared; the encoding found was used (native only)",
    "assumed_samples_per_pixel": "Samples per Pixel (0028,0002) is missing; taken from the photometric interpretation",
    "assumed_bits_stored": "Bits Stored (0028,0101) is missing; taken as Bits Allocated",
    "assumed_unsigned": "Pixel Representation (0028,0103) is missing, at 8 bits or fewer; taken as unsigned",
    "assumed_planar_configuration": "Planar Configuration (0028,0006) is missing; taken as 0",
    "nonstandard_number": "a number is written in a form that DICOM does not allow, such as a decimal comma; it was "
    "read",
    "unreadable_number": "a number cannot be read: `unreadable_numbers` names its attribute, which counts as absent",
    "implausible_number": "a number has a value that it cannot have: it was not used",
    "acr_nema": "written before DICOM (ACR-NEMA): no transfer syntax and no UIDs; read as Implicit VR Little Endian",
    "dose_scaling_missing": "Dose Grid Scaling (3004,000E) is missing: the stored values of a dose have no unit",
    "bits_stored_differs": "Bits Stored (0028,0101) differs between frames: the largest is stated and inverts grey",
    "padding_differs": "Pixel Padding Value or its Range Limit (0028,0121) differs between frames: none is stated",
    "high_bit_ignored": "High Bit (0028,0102) is not Bits Stored - 1 where all allocated bits are stored: not used",
    "high_bit_shifted": "High Bit (0028,0102) is not Bits Stored - 1; values were shifted down to bit 0",
}
ENCAPSULATION_FLAGS = {
    "surplus_bytes": "more bytes than the frames need; never read as another frame",
    "trailing_bytes": "bytes that are no element follow the pixel data; if they belong to it, others were inserted "
    "before them, and pixels are shifted",
    "surplus_frames": "the pixel data holds whole frames beyond Number of Frames (0028,0008); they were not extracted",
    "padded_frames": "each frame of 1 bit a pixel is padded to whole bytes, as length and bytes show; it was read so",
    "uncertain_frames": "frames of 1 bit a pixel may be padded to whole bytes, as spare bytes suggest, or not, as the "
    "standard says, which was assumed; pixels may be shifted",
    "joined_fragments": "a frame is in several fragments which no offset table assigns; their bytes show where it ends",
    "not_subsampled": "4:2:2 according to the header, full chroma according to the length; read as full",
    "bad_offset_table": "the Basic Offset Table is missing, or does not fit the fragments; it was not used",
    "missing_sequence_delimiter": "the compressed data does not end with a Sequence Delimitation Item",
    "odd_fragment": "a fragment has an odd length",
}
PIXEL_FLAGS = {
    "unused_bits_set": "bits outside Bits Stored were set, for example by an overlay; they were cleared",
    "sign_extended": "negative values were stored with zeros above Bits Stored; the sign was extended",
    "missing_end_marker": "a JPEG stream does not end with its end marker; a second decoding shows that it is whole",
    "photometric_from_stream": "the colour space is that of the compressed stream, which contradicts the header",
    "photometric_from_header": "the stream says nothing certain of its colour space; that of the header was used",
    "lossy_stream": "the compressed stream is lossy, although transfer syntax or header call it lossless",
    "precision_mismatch": "the precision of the compressed stream is not Bits Stored",
    "sign_mismatch": "the sign of a JPEG 2000 stream is not Pixel Representation; the header was followed",
    "not_cross_checked": "the second decoder refused a frame of the cross-check: only one decoder has decoded it",
    "beyond_bits_stored": "lossy compression gave values above Bits Stored; kept, `bits_stored` is Bits Allocated",
}
DEPTH_FLAGS = {
    "outside_bits_stored": "a stored value needs more bits than Bits Stored: verdict `fail`",
    "outside_declared_range": "a stored value is outside Smallest/Largest Image Pixel Value: verdict `warn`",
    "constant": "every voxel has the same value",
}
SIZE_FLAGS = {
    "files_differ": "files on disk, or the number of frames, differ from the record: verdict `fail`",
}
GEOMETRY_FLAGS = {
    "ambiguous_stack": "several frames lie at one position and nothing in the header distinguishes them",
    "contested_place": "several frames with different pixels lie at one position and nothing distinguishes them",
    "dose_offsets_mismatch": "Grid Frame Offset Vector (3004,000C) does not fit the frames; they have no depth",
    "detector_spacing": "only the spacing at the detector is known, so no spacing in the patient is stated",
    "functional_groups_mismatch": "the number of per-frame functional groups differs from the number of frames",
    "gantry_tilt": "slices are shifted within their plane in proportion to depth: the affine is sheared",
    "gap": "slices are missing between the first and the last; positions are kept, nothing is filled in",
    "in_plane_positions": "slices lie beside each other in one plane, each over half of the one before: orientation or "
    "positions are wrong; each place is an image by itself",
    "incomplete_grid": "one time (or echo, b-value ...) of a series in which slices are missing at some times",
    "incomplete_concatenation": "parts of a concatenation (0020,9161) are not in the source, so the image lacks frames",
    "invalid_orientation": "Image Orientation (Patient) (0020,0037) is not two orthogonal unit vectors; not used",
    "irregular_origins": "slices at different depths are shifted within their plane, each its own way",
    "mosaic": "the slices of a volume are tiles of one stored image, kept as stored",
    "no_position": "a slice without a position: nothing says where it lies, or in what order",
    "partial_geometry": "some frames of the file have a position or an orientation and others have none; none is used",
    "rescale_incomplete": "some frames lack a usable Rescale Slope or Intercept, or both: their pairs are null",
    "rounded_positions": "positions or distances have few decimals; the affine is fitted to them, see its residual",
    "shared_position": "frames of several places in a stack (In-Stack Position Number (0020,9057)) have one "
    "position; it is not used",
    "stack_divided": "other slices of the same stack are in another array, since their sample type, photometric "
    "interpretation, kernel, pixel spacing, Image Type, units or quantity, direction of rows and columns, time "
    "of acquisition, or a fact of it, such as the echo time, differs",
    "t_order_only": "the order along t comes from a counter; what changes from frame to frame is not known",
    "uneven_spacing": "the distances between slices have no common step; positions are kept",
    "unplaced_slices": "slices of reconstructed nuclear medicine whose distance or place is not stated: `slice_number` "
    "gives their order",
    "unplaced_tiles": "frames of a whole slide image whose positions are not known; stored order is kept",
    "volume_coordinates": "positions are those in an ultrasound volume, not in the patient: only spacing is stated",
}
MASK_FLAGS = {
    "beyond_maximum": "a value is above Maximum Fractional Value (0062,000E); values were kept",
    "by_frame_of_reference": "the file names no image of the dataset; it was found by its Frame of Reference UID alone",
    "contours_between_slices": "contours lie farther than half a slice distance from every slice, or on a slice that "
    "others are nearer to; they were not used",
    "duplicate_frames": "several frames of the segment lie at one place; the mask holds all of their voxels",
    "empty_mask": "no voxel of the image belongs to the mask",
    "frames_elsewhere": "frames of the segment refer to images that are not in this series; they are not in this mask",
    "lossy_pixels": "the frames of the segmentation were compressed with loss: edges, and numbers of a label map, may "
    "not be those that were drawn",
    "contours_cancel": "contours of a slice nearly coincide (within half a voxel), or leave no voxel: what lies inside "
    "an even number of contours is outside of the structure",
    "contours_elsewhere": "contours refer to images of another series alone; they were not used",
    "contours_without_t": "nothing says to which t of the image contours belong, while others of the region name "
    "theirs; they were not used",
    "frames_without_t": "nothing says to which t of the image frames belong, while others of the segment name theirs; "
    "they are not in this mask",
    "no_t_reference": "nothing says to which t of the image the mask belongs; it holds for all of them",
    "nothing_left": "it was drawn, but no voxel belongs to it: its contours were not used, cancel each other, or lie "
    "between voxel centres; it is not an absent structure",
    "one_t": "its frames or contours refer to one t of the image, stated in `counts`; it is stored for all of them",
    "open_contours": "contours that are not closed enclose no voxel; they were not used",
    "outside_image": "a part of the structure lies outside of the image; see `outside`",
    "own_grid": "its grid is not that of the image, so that it was kept on its own grid, never resampled",
    "parts_missing": "other parts of the segmentation, a concatenation (0020,9161), are not placed on images of this "
    "series: frames are missing",
    "point_contours": "contours of one or two points enclose no voxel; they were not used",
    "points_differ": "contours have another number of points than they state (3006,0046): points may be lost",
    "references_differ": "frames or contours lie at another place than the images that they refer to; their own place "
    "was used",
    "repeated_contours": "the same contour occurs more than once in one plane; it was used once",
    "slices_without_contour": "slices between its first and its last contour have none; they were left empty",
    "tilted_contours": "contours are not parallel to the slices of the image; they were not used",
    "uncertain_pixels": "the segmentation has the flag `uncertain_frames` or `trailing_bytes`, or room for more frames "
    "than Number of Frames (0028,0008): pixels may be shifted",
    "unreadable_contours": "contours of no known type, or whose numbers cannot be read or are no points; they were not "
    "used",
}
# Of a mask without voxels: the structure is there all the same, so that the image is no example of its absence.
NOT_ABSENT = frozenset({"nothing_left", "point_contours"})
MASK_FILE_FLAGS = {
    "mask_without_image": "a segmentation whose image is not in the dataset, or lies in another frame of reference: "
    "its frames are kept as they are",
    "mask_ambiguous": "a segmentation that fits several images: its frames are kept as they are, on no image's grid",
    "mask_unreadable": "a segmentation that cannot be placed on its image: its frames are kept as they are",
}
FLAG_TABLES = (
    ("Identity and membership", SERIES_FLAGS),
    ("Header", HEADER_FLAGS),
    ("Encapsulation and length", ENCAPSULATION_FLAGS),
    ("Pixels", PIXEL_FLAGS),
    ("Geometry and order", GEOMETRY_FLAGS),
    ("Only in `reports/depth.csv`", DEPTH_FLAGS),
    ("Only in `reports/size.csv`", SIZE_FLAGS),
    ("Segmentations without a mask on an image, only in `volumes.csv`", MASK_FILE_FLAGS),
    ("Only in `masks.csv`", MASK_FLAGS),
)

FLAGS: dict[str, str] = {code: meaning for _, table in FLAG_TABLES for code, meaning in table.items()}
