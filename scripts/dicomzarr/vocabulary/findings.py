"""Findings that the configuration key `gate` may limit."""

from __future__ import annotations

LABEL_FINDINGS = ("labels_unmatched", "images_unlabelled", "label_conflicts")
FIXED_FINDING = "fixed_unmatched"  # entries of `splits.fixed` without a match
# Masks without a name of the vocabulary; mask files of which no mask was placed; verdicts on masks.
MASK_FINDINGS = ("masks_unnamed", "masks_not_placed", "mask_warn", "mask_fail")
OUTCOME_FINDINGS = ("quarantined", "skipped", "ignored")
VERDICT_FINDINGS = ("depth_warn", "depth_fail", "size_warn", "size_fail")
EXPORT_FINDINGS = ("png_refused", "nifti_refused", "nnunet_refused")
TIE_FINDING = "twins_across_splits"  # equal pixels of several subjects, in more than one split
STUDY_FINDING = "studies_across_splits"  # studies of several subjects, in more than one split
