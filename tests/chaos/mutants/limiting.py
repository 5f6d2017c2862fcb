"""Mutants of what keeps steps within their cost limits."""

from __future__ import annotations

from typing import Any

from tests.chaos.mutants.mutant import Mutant, put


def _take_it_for_a_time_limit() -> None:
    from zenml_azureml.azure.failures.rules import timeout
    from zenml_azureml.lifecycle import outcome

    put(outcome, "timeout", lambda limit, _cost_limit="": timeout(limit))


def _forget_what_is_spent() -> None:
    from zenml_azureml.lifecycle import cost_guard
    from zenml_azureml.lifecycle.cost_limit import Spending

    put(cost_guard, "spending_of", lambda limit, *_arguments: Spending(limit))


_REACHED = (("job GET", "limit reached"), ("log", "limit reached"))
_QUIET: dict[str, Any] = {"faults": (), "max_usd": 5}

MUTANTS = (
    Mutant("a cost limit is a time limit", _take_it_for_a_time_limit, "cost limit", _REACHED, "static", _QUIET),
    Mutant("spent money forgotten", _forget_what_is_spent, "cost limit", _REACHED, "retries", _QUIET),
)
