"""Refusals that have a cause and next steps of their own: reading of answers, and the table of refusals."""
