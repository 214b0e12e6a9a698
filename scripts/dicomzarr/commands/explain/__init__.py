"""`./run explain`: how an array, or a mask, was made."""
