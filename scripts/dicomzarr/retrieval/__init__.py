"""Fill a source folder from a DICOMweb server: `./run retrieve`."""
