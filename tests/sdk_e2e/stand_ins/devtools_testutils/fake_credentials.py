"""Stand-in for the values that recordings have instead of secrets."""

from __future__ import annotations

SANITIZED = "Sanitized"


class FakeTokenCredential:
    """Credential of the tests that replay a recording; none does here."""
