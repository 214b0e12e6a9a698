"""`./run demo`: the workflow on a built-in data set."""
