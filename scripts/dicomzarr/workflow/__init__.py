"""The main process and what surrounds a job: the only package that knows Snakemake."""
