"""Volumes: which frames make one array, in what order, with what geometry."""
