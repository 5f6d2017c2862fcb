"""Mutants of what submits jobs, and of how their secrets travel."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any
from uuid import uuid4

from tests.chaos.mutants.mutant import Mutant, nothing, put
from tests.chaos.schedule import PlannedFault


def _adopt_nothing() -> None:
    from zenml_azureml.azure.jobs.submitter import JobSubmitter

    def refuse(_submitter: Any, _job_name: str, refusal: Exception) -> Any:
        raise refusal from None

    put(JobSubmitter, "_find", refuse)


def _name_each_try_anew() -> None:
    from zenml_azureml.azure.jobs.submitter import JobSubmitter

    _adopt_nothing()
    create: Any = JobSubmitter._create

    def under_a_new_name(self: Any, request: Any, placement: Any) -> Any:
        return create(self, replace(request, name=f"{request.name}-{uuid4().hex[:4]}"), placement)

    put(JobSubmitter, "_create", under_a_new_name)


def _ask_once() -> None:
    from zenml_azureml.azure import retry

    put(retry, "is_transient", lambda _error: False)


def _leave_secrets_in() -> None:
    from zenml_azureml.azure.keyvault import delivery

    put(delivery, "without_secrets", lambda request, *_arguments: request)


def _drop_nothing() -> None:
    from zenml_azureml.azure.keyvault.delivery import SecretDelivery

    put(SecretDelivery, "drop", nothing)


def _print_secrets() -> None:
    from zenml_azureml.azure.keyvault.delivery import SecretDelivery

    deliver: Any = SecretDelivery.deliver

    def aloud(self: Any, request: Any, *arguments: Any) -> Any:
        logging.getLogger("zenml_azureml").warning("%s", request.options.environment_variables)
        return deliver(self, request, *arguments)

    put(SecretDelivery, "deliver", aloud)


_LOST_ANSWERS = ("500 processed", "reset processed", "read timeout", "truncated")

MUTANTS = (
    Mutant("no adoption", _adopt_nothing, "outcome", tuple(("job PUT", f) for f in _LOST_ANSWERS), "static"),
    Mutant(
        "a name for each try",
        _name_each_try_anew,
        "one job",
        (("job PUT", "500 processed"),),
        "static",
        {"faults": (PlannedFault("job PUT", "500 processed"),)},  # and no trap for the second try
    ),
    Mutant(
        "asks once",
        _ask_once,
        "outcome",
        (("job PUT", "503"), ("job PUT", "429"), ("environment GET", "dns")),
        "static",
    ),
    Mutant("secrets in definitions", _leave_secrets_in, "no secret told", (("secret PUT", "429"), ("vault", "503"))),
    Mutant("no secret deleted", _drop_nothing, "no secret left", tuple(("secret PUT", f) for f in _LOST_ANSWERS)),
    Mutant("secrets printed", _print_secrets, "no secret told", (("secret PUT", "429"), ("vault", "503"))),
)
