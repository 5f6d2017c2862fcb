"""Mutants that no test can notice, or need not, each with the reason."""

from __future__ import annotations

#: By the module, the function and the change, as `Mutant.name` has them.
ACCEPTED: dict[str, str] = {}
