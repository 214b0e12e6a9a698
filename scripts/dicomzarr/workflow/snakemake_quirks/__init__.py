"""Everything that leans on the inside of Snakemake: a module for each purpose.

With a version that is not in `tried.TRIED` the workflow runs on what Snakemake documents, and a note says what is
missing then.
"""
