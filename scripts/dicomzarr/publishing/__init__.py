"""Copies of the dataset elsewhere: publishing to a bucket or folder, and verifying a copy by what it holds itself."""
