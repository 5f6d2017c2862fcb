"""Differences between Azure and the emulator that stay: a pattern of operation and text, and the reason.

It is empty until the first run on Azure.
"""

from __future__ import annotations

DECLARED: dict[str, str] = {}
