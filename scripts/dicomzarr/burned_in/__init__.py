"""Text in the pixels: find it in a frame."""
