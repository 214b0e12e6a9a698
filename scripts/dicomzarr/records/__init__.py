"""Typed records of finished work, the files that each of them claims, and revoking records."""
