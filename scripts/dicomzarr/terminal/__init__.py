"""What a run shows on the terminal: one line a stage, a live line of progress, and the facts for the launcher."""
