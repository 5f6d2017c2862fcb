"""What goes wrong before a step begins."""

from __future__ import annotations


class BootstrapError(Exception):
    """A job cannot prepare its step: what happened, in whose words, and what to do next."""
