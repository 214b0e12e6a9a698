"""The core: exact pixels, grouping, accounting and privacy, without Snakemake."""

__version__ = "0.1.0"
