"""Pixels: from the bytes of a pixel data element to exact frames, one at a time."""
