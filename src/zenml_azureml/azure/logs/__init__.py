"""Logs of jobs: their files, ranged reads, lines, and the tail that explains a failure."""
