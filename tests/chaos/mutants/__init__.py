"""Operators that are broken on purpose: each has to be noticed by the rule that it breaks."""

from __future__ import annotations

from tests.chaos.mutants import (
    after_a_kill,
    ending,
    following,
    holding,
    limiting,
    moving,
    reading,
    reporting,
    shells,
    showing,
    submitting,
)
from tests.chaos.mutants.mutant import Mutant

NO_MUTANT = Mutant("none", lambda: None)
_MODULES = (
    *(ending, submitting, moving, following, showing, after_a_kill, holding, limiting, reading, reporting),
    shells,
)
MUTANTS: dict[str, Mutant] = {
    mutant.name: mutant for mutant in (NO_MUTANT, *(each for module in _MODULES for each in module.MUTANTS))
}
