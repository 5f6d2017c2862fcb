"""Errors of the preparation of a step."""

from __future__ import annotations


class BootstrapError(Exception):
    """A job cannot prepare its step. The message has the cause and the next step."""
