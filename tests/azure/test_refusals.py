"""A refusal of the table is recognised wherever it comes, has its own advice, and is not tried again for nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from tests.azure.hostile_cases import JOB, JOBS, SIZES, value
from tests.azure.hostile_client import (
    Client,
    computes,
    create_compute,
    find,
    list_all,
    permissions,
    read_log,
    sizes,
    submit,
)
from tests.azure.hostile_server import ENVIRONMENT, Handler
from tests.azure.refusal_bodies import BODIES, LOGIN, ROLES, Body
from zenml_azureml.azure.jobs.details import describe_job
from zenml_azureml.azure.jobs.handle import JobHandle
from zenml_azureml.azure.refusals.table import TABLE
from zenml_azureml.azure.retry import is_transient, with_retries
from zenml_azureml.clock import SystemTime
from zenml_azureml.exceptions import AuthenticationError, AzureMLError
from zenml_azureml.lifecycle.outcome import job_failure

#: What is asked of Azure, and the path and method of the request that is refused.
PLACES: dict[str, tuple[Callable[[Client], object], str, str]] = {
    "the job": (submit, "PUT", JOB),
    "its environment": (submit, "GET", ENVIRONMENT),
    "a job": (find, "GET", JOB),
    "all jobs": (list_all, "GET", JOBS),
    "a compute": (create_compute, "GET", "/computes/cpu"),
    "another compute": (create_compute, "PUT", "/computes/cpu"),
    "all computes": (computes, "GET", "/computes"),
    "the roles": (permissions, "GET", "/permissions"),
    "the sizes": (sizes, "GET", SIZES),
}

#: The requests of a submit that is refused: beside that one, the look whether the job exists all the same.
MOST_SENT = 2


def refuse(client: Client, place: str, body: Body) -> list[int]:
    """Have the server refuse a request; return a list that grows by one at each such request."""
    _, method, path = PLACES[place]
    met: list[int] = []

    def answer(handler: Handler) -> None:
        if handler.command == method:
            met.append(1)
            handler.answer(body.data.encode(), body.status, **body.headers)
        else:
            handler.json({"error": {"code": "NotFound", "message": "There is none."}}, 404)

    client.when(path, answer)
    return met


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("place", PLACES)
def test_each_refusal_has_its_own_advice_at_each_place(name: str, place: str, client: Client) -> None:
    body = BODIES[name]
    met = refuse(client, place, body)
    refusal = next(one for one in TABLE if one.name == body.refusal)

    error = client.error_of(PLACES[place][0])

    assert body.advice in error.hint
    assert body.words in error.azure_message
    assert error.azure_message
    assert ROLES not in error.hint
    assert body.refusal == "other-tenant" or (LOGIN not in error.hint and refusal.what in error.summary)
    assert not is_transient(error)
    # The token of another tenant is renewed once; nothing else is tried again.
    assert len(met) == (2 if body.refusal == "other-tenant" else 1)
    assert client.slept == []


def test_a_credential_of_another_tenant_is_a_matter_of_signing_in(client: Client) -> None:
    refuse(client, "a job", BODIES["tenant"])

    error = client.error_of(find)

    assert isinstance(error, AuthenticationError)
    assert "signed in, but its tokens are refused" in error.summary
    assert error.hint.endswith(BODIES["tenant"].advice)


@pytest.mark.parametrize("name", [name for name, body in BODIES.items() if body.status >= 500])
def test_a_refusal_that_looks_like_an_outage_is_not_waited_for(name: str, client: Client) -> None:
    met = refuse(client, "a job", BODIES[name])

    with pytest.raises(AzureMLError):
        with_retries("asking", lambda: find(client), timedelta(minutes=30), SystemTime())

    assert len(met) == 1


def test_an_outage_is_still_waited_for(client: Client) -> None:
    refuse(client, "a job", Body("", 502, '{"error": {"code": "BadGateway", "message": "Try again."}}', ""))

    assert is_transient(client.error_of(find))


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (409, "Conflict of operation, another operation on same entity is already running in workspace space."),
        (409, "Another operation on this compute is in progress."),
        (400, "Start Azure ML Compute Instance is only allowed when the instance dev is in 'stopped' state"),
    ],
)
def test_an_operation_that_is_under_way_is_waited_for(status: int, message: str, client: Client) -> None:
    refuse(client, "the job", Body("", status, f'{{"error": {{"code": "Conflict", "message": "{message}"}}}}', ""))

    error = client.error_of(submit)

    assert is_transient(error)
    assert "another operation on it is in progress" in error.summary
    assert message in error.azure_message


#: What is refused for a reason that the table does not know.
UNKNOWN = {
    400: '{"error": {"code": "UserError", "message": "The moon is in the wrong phase."}}',
    403: '{"error": {"code": "MoonPhase", "message": "The moon is in the wrong phase."}}',
    409: '{"error": {"code": "Conflict", "message": "The moon is in the wrong phase."}}',
    422: "The moon is in the wrong phase.",
}


@pytest.mark.parametrize("status", UNKNOWN)
def test_what_nobody_knows_is_shown_in_azures_words_first(status: int, client: Client) -> None:
    headers = {} if UNKNOWN[status].startswith("{") else {"Content_Type": "text/plain"}
    refuse(client, "the job", Body("", status, UNKNOWN[status], "", headers))

    error = client.error_of(submit)

    said, _, advice = str(error).partition("Next steps: ")
    assert "The moon is in the wrong phase." in said
    assert error.summary.endswith(").")  # no reason is claimed
    assert not any(refusal.what in str(error) for refusal in TABLE)
    assert "AzureML Data Scientist" not in advice
    assert "most likely" not in advice


def test_a_log_that_storage_refuses_says_why(client: Client) -> None:
    """The firewall, the switched-off account keys and a role that is missing have different advice."""
    for name, advice, not_advice in (
        ("storage, firewall", "allow this machine in the firewall", "systemDatastoresAuthMode"),
        ("storage, keys", "systemDatastoresAuthMode", "allow this machine in the firewall"),
        ("storage, mismatch", "`Storage Blob Data Contributor`", "allow this machine in the firewall"),
        ("a proxy's page", "HTTPS_PROXY", "allow this machine in the firewall"),
    ):
        body = BODIES[name]

        def answer(handler: Handler, body: Body = body) -> None:
            version = {} if "page" in body.refusal else {"x_ms_version": "2021-12-02"}
            handler.answer(body.data.encode(), body.status, **{**version, **body.headers})

        client.when("/log", answer)
        (line,) = read_log(client)
        assert advice in line
        assert not_advice not in line
        assert "SIGNATURE" not in line


@pytest.mark.parametrize(
    ("inner", "cause", "advice"),
    [
        ({"code": "ScriptExecution.StreamAccess.Authentication", "message": "no"}, "storage-access", "az role assign"),
        ({"code": "KeyBasedAuthenticationNotPermitted", "message": "no"}, "storage-keys-disabled", "systemDatastores"),
        ({"code": "x", "message": "The requested identity has not been assigned to this resource."},
         "identity-missing", "`compute_identity`"),
        ({"code": "ScopeLocked", "message": "no"}, "locked", "az lock list"),
    ],
)  # fmt: skip
def test_a_job_that_fails_because_of_a_refusal_has_its_advice(
    inner: dict[str, str], cause: str, advice: str, client: Client
) -> None:
    said = {"code": "UserError", "message": "The job failed.", "innerError": {"code": "Bad", "innerError": inner}}
    client.when("/details", value({"status": "Failed", "logFiles": {}, "error": {"error": said}}))

    found = describe_job(client.connection, "job-1")
    assert found is not None
    job = JobHandle("job-1", details=found.details, log_end=found.log_end, address=client.server.address)
    failure = job_failure("The job", job)

    assert failure.cause == cause
    assert failure.azure_message == "The job failed."
    assert advice in failure.hint


def test_each_refusal_is_in_the_documents() -> None:
    docs = Path(__file__).parents[2] / "docs"
    troubleshooting, failures = (docs / "troubleshooting.md").read_text(), (docs / "failures.md").read_text()

    for refusal in TABLE:
        assert f"`{refusal.name}`" in troubleshooting, refusal.name
        if refusal.by_jobs:
            assert f"`{refusal.name}`" in failures, refusal.name


def test_every_kind_of_the_table_has_a_body() -> None:
    elsewhere = {"operation-in-progress", "instance-disk-full"}

    assert {body.refusal for body in BODIES.values()} == {refusal.name for refusal in TABLE} - elsewhere
