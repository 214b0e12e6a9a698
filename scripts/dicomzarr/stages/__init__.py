"""One module or package per rule, of the same name. Stages import libraries and records, never each other."""
