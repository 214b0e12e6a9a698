"""Uses of Snakemake's undocumented internals, one module per purpose.

With a version that is not in `tested_versions.TESTED`, the workflow uses documented features only and prints a note on
what is missing.
"""
