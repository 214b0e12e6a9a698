"""The core: exact pixels, grouping, accounting and privacy, without Snakemake."""
