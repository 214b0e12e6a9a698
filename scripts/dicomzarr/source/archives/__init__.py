"""Archives of the source: zip, tar, compressed tar and single gzipped files, whose members are read as files."""
