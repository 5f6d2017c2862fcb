"""Logs of jobs: which files there are, ranged reads, lines, and the end that explains a failure."""
