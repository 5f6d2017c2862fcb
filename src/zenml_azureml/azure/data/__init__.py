"""Data that jobs read and write: look-ups and checks before a job is submitted, and what it has written."""
