"""A run of the workflow: Snakemake, what follows its last job, and the lines at the end."""
