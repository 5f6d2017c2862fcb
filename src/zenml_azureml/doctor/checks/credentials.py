"""Who signs in to Azure, and for how long."""

from __future__ import annotations

from datetime import datetime, timedelta

from zenml_azureml.azure.arm.models import Credential
from zenml_azureml.doctor.result import Finding, Problem, failed, ok, warning

CHECK = "credentials"

#: A credential that ends sooner will end under a job.
SOON = timedelta(hours=1)


def check_credentials(facts: Credential | Problem, source_expires_at: datetime | None, now: datetime) -> Finding:
    """Whether somebody can sign in, and goes on being able to.

    Args:
        facts: Who has signed in.
        source_expires_at: When the service connector expires for good; None if it does not, or there is none.
        now: The time.
    """
    if isinstance(facts, Problem):
        return failed(CHECK, facts.what, facts.hint)
    who = f"{facts.source} signs in as {facts.who or 'somebody that its token does not name'}"
    if source_expires_at is not None and source_expires_at - now < SOON:
        return warning(
            CHECK,
            f"{_capital(who)}, and expires for good at {_minute(source_expires_at)}. Jobs go on, but cannot be watched "
            "or cancelled then.",
            "Give the service connector credentials that are renewed: `zenml service-connector update NAME "
            "--interactive`.",
        )
    until = "" if source_expires_at is None else f"; the connector expires at {_minute(source_expires_at)}"
    return ok(CHECK, f"{_capital(who)}; its token expires at {_minute(facts.expires_at)} and is renewed{until}")


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _minute(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
