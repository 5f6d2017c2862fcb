"""Jobs as containers."""
