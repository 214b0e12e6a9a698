"""Masks: read segmentations and structure sets, and place them on the grid of the image that they refer to."""
