"""Mutants that no test can notice, or need not, each with the reason."""

from __future__ import annotations

#: By the mutant, as the report names it.
ACCEPTED: dict[str, str] = {}
