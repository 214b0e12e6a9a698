"""Headers: what a file says of itself, read exactly, fast and safely, and the index of all of them."""
