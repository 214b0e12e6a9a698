"""What was done: typed records, what each of them claims, and how one is revoked."""
