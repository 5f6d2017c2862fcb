"""Causes of failed jobs: the classifier and its rules. Pure."""
