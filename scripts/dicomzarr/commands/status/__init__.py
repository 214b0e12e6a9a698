"""`./run status`: what a run would do, and why."""
