"""The words of `./run`, each started as `python -m dicomzarr.commands.<word>`."""
