"""Builds the job of a step run. Only `lifecycle` and the packages above may import it."""
