"""Stand-in for the module of the same name."""

from . import is_live_and_not_recording

__all__ = ["is_live_and_not_recording"]
