"""The search for leaks: what identifies a patient, gathered from the source and looked for in everything else."""
