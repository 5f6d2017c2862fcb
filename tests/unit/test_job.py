"""The command job: what it is called, what is sent, how often the workspace is asked."""

from __future__ import annotations

import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
import requests
from azure.identity import ClientSecretCredential
from hypothesis import given
from hypothesis import strategies as st

from tests.e2e.requests_of import requests_of
from zenml_azureml.azure.compute.placement import ANYWHERE
from zenml_azureml.azure.connection import WorkspaceAddress, WorkspaceConnection
from zenml_azureml.azure.jobs.submitter import JobSubmitter, build_command_job, environment_name
from zenml_azureml.azure.transport import WorkspaceTransport
from zenml_azureml.emulator import Emulator, WorkspaceName
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.specs.job import JobIdentity, JobOptions, JobService, JobSpec
from zenml_azureml.submission.job_builder import experiment_name

#: Names of environments, jobs and experiments that Azure ML takes.
LEGAL = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9\-_]{0,254}")

REQUEST = JobSpec(
    name="zenml-1",
    display_name="train (run)",
    experiment="training",
    image="registry.azurecr.io/zenml:train-1",
    command="python -m train",
    environment_variables={"ZENML_STORE_API_TOKEN": "hunter2"},
    tags={"zenml_step": "train"},
    own_tag="zenml_step",
)


@given(st.text())
def test_every_image_and_every_pipeline_gets_names_that_azure_takes(text: str) -> None:
    assert LEGAL.fullmatch(environment_name(text))
    assert LEGAL.fullmatch(experiment_name(text))


@pytest.mark.parametrize(
    ("one", "other"),
    [("r.io/a:1", "r.io/a:2"), ("r.io/a:1", "s.io/a:1"), ("r.io/a_b:1", "r.io/a-b:1"), ("r.io/a", "r.io/a@sha256:0")],
)
def test_other_images_have_other_environments(one: str, other: str) -> None:
    assert environment_name(one) != environment_name(other)


def test_an_image_is_recognised_by_the_name_of_its_environment() -> None:
    assert re.fullmatch(r"zenml-zenml-train-1-[0-9a-f]{12}", environment_name(REQUEST.image))


def test_a_job_names_its_environment_by_version_so_that_nothing_has_to_be_looked_up() -> None:
    assert build_command_job(REQUEST, None).environment == f"azureml:{environment_name(REQUEST.image)}:1"


def test_no_secret_is_in_the_repr_of_a_request() -> None:
    assert "hunter2" not in repr(REQUEST)


def submitter(credential: ClientSecretCredential, workspace: str = "emulator") -> JobSubmitter:
    name = WorkspaceName()
    address = WorkspaceAddress(name.subscription_id, name.resource_group, workspace)
    return JobSubmitter(WorkspaceConnection(address, lambda: credential))


def kinds_of_requests(emulator: Emulator) -> Counter[tuple[str, str]]:
    """How often each kind of resource was asked for or written."""
    paths = [(r["method"], r["path"].partition("/workspaces/")[2].split("/")) for r in requests_of(emulator)]
    return Counter((method, path[1]) for method, path in paths if len(path) > 1)


def test_steps_that_share_an_image_register_it_once_even_at_the_same_moment(
    emulator: Emulator, credential: ClientSecretCredential
) -> None:
    ours = submitter(credential)
    requests = [replace(REQUEST, name=f"zenml-{number}") for number in range(8)]

    with ThreadPoolExecutor(8) as threads:
        jobs = list(threads.map(lambda request: ours.submit(request, ANYWHERE), requests))

    assert sorted(job.name for job in jobs) == [request.name for request in requests]
    assert kinds_of_requests(emulator) == {("GET", "environments"): 1, ("PUT", "environments"): 1, ("PUT", "jobs"): 8}


def test_an_environment_that_another_process_has_registered_is_taken_as_it_is(
    emulator: Emulator, credential: ClientSecretCredential
) -> None:
    submitter(credential).submit(REQUEST, ANYWHERE)
    submitter(credential).submit(replace(REQUEST, name="zenml-2"), ANYWHERE)

    assert kinds_of_requests(emulator)["PUT", "environments"] == 1


def test_what_was_sent_is_what_the_job_has(emulator: Emulator, credential: ClientSecretCredential) -> None:
    job = submitter(credential).submit(REQUEST, ANYWHERE)

    (sent,) = emulator.context.store.workspaces[0].jobs.values()
    assert sent.name == job.name == "zenml-1"
    assert sent.properties["command"] == "python -m train"
    assert sent.properties["displayName"] == "train (run)"
    assert sent.properties["experimentName"] == "training"
    assert sent.properties["tags"] == {"zenml_step": "train"}
    assert sent.properties["environmentVariables"] == {"ZENML_STORE_API_TOKEN": "hunter2"}
    assert sent.properties["computeId"] is None
    assert job.studio_url.startswith(f"{emulator.base_url}/runs/zenml-1?")


def test_a_workspace_that_is_missing_is_not_taken_for_a_missing_environment(
    emulator: Emulator, credential: ClientSecretCredential
) -> None:
    with pytest.raises(AzureMLError, match=r"\(ResourceNotFound\).*\n.*`workspace_name`"):
        submitter(credential, workspace="elsewhere").submit(REQUEST, ANYWHERE)

    assert all(method == "GET" for method, _ in kinds_of_requests(emulator))


@pytest.mark.parametrize(
    ("identity", "sent"),
    [
        (None, None),
        (JobIdentity("aml_token"), {"identityType": "AMLToken"}),
        (JobIdentity("user"), {"identityType": "UserIdentity"}),
        (JobIdentity("managed"), {"identityType": "Managed"}),
        (JobIdentity("managed", "1234"), {"identityType": "Managed", "clientId": "1234"}),
    ],
)
def test_a_job_acts_as_whom_it_was_told_to(
    emulator: Emulator, credential: ClientSecretCredential, identity: JobIdentity | None, sent: dict[str, str] | None
) -> None:
    submit(emulator, credential, JobOptions(identity=identity))

    (job,) = emulator.context.store.workspaces[0].jobs.values()
    assert job.properties["identity"] == sent
    named = identity is not None and identity.client_id is not None
    assert ("AZURE_CLIENT_ID" in job.properties["environmentVariables"]) == named


@pytest.mark.parametrize(
    ("service", "kind", "properties"),
    [
        (JobService("look", "ssh", ssh_public_keys="ssh-ed25519 AAAA"), "SSH", {"sshPublicKeys": "ssh-ed25519 AAAA"}),
        (JobService("look", "jupyter_lab"), "JupyterLab", None),
        (JobService("look", "tensor_board", log_dir="outputs/tb"), "TensorBoard", {"logDir": "outputs/tb"}),
        (JobService("look", "vs_code", nodes="all"), "VSCode", None),
    ],
    ids=lambda value: value.type if isinstance(value, JobService) else "",
)
def test_a_job_has_the_service_that_was_asked_for(
    emulator: Emulator,
    credential: ClientSecretCredential,
    service: JobService,
    kind: str,
    properties: dict[str, str] | None,
) -> None:
    submit(emulator, credential, JobOptions(services=(service,)))

    (job,) = emulator.context.store.workspaces[0].jobs.values()
    look = job.properties["services"]["look"]
    assert look["jobServiceType"] == kind
    if properties is not None:
        assert look["properties"] == properties
    assert (look["nodes"] is not None) == (service.nodes == "all")


def submit(emulator: Emulator, credential: ClientSecretCredential, options: JobOptions) -> None:
    """Submit a job with these options to the emulator."""
    name = WorkspaceName()
    address = WorkspaceAddress(name.subscription_id, name.resource_group, name.name)
    JobSubmitter(WorkspaceConnection(address, lambda: credential)).submit(replace(REQUEST, options=options), ANYWHERE)


def arm_fault(emulator: Emulator, **fault: Any) -> None:
    """Let submits go wrong."""
    answer = requests.post(
        f"{emulator.base_url}/_emulator/faults",
        json={"method": "PUT", "path": "/jobs/", **fault},
        headers=emulator.admin_headers,
        verify=str(emulator.ca_bundle),
        timeout=10,
    )
    answer.raise_for_status()


@pytest.mark.parametrize(
    "fault",
    [
        {"reset": True, "times": 1},
        {"reset": True, "times": 4},
        {"status": 503, "times": 4},
        {"status": 500, "times": 4},
    ],
    ids=["one answer lost", "every answer lost", "every answer an error", "every answer a fault"],
)
def test_a_job_whose_answer_was_lost_is_found_again(
    emulator: Emulator, credential: ClientSecretCredential, fault: dict[str, Any]
) -> None:
    arm_fault(emulator, processed=True, **fault)

    job = impatient(credential).submit(REQUEST, ANYWHERE)

    assert list(emulator.context.store.workspaces[0].jobs) == [job.name] == ["zenml-1"]
    assert job.studio_url


def test_submitting_again_with_another_token_gives_the_job_that_is_there(
    emulator: Emulator, credential: ClientSecretCredential
) -> None:
    first = impatient(credential).submit(REQUEST, ANYWHERE)
    again = replace(REQUEST, environment_variables={"ZENML_STORE_API_TOKEN": "another one"})

    assert impatient(credential).submit(again, ANYWHERE) == first

    (job,) = emulator.context.store.workspaces[0].jobs.values()
    assert job.properties["environmentVariables"] == {"ZENML_STORE_API_TOKEN": "hunter2"}


def test_a_job_of_that_name_that_is_not_this_steps_is_an_error(
    emulator: Emulator, credential: ClientSecretCredential
) -> None:
    impatient(credential).submit(REQUEST, ANYWHERE)
    other = replace(REQUEST, command="python -m other", tags={"zenml_step": "other"})

    with pytest.raises(AzureMLError, match="belongs to another step run"):
        impatient(credential).submit(other, ANYWHERE)


def test_a_job_that_azure_refuses_is_told_in_its_words(emulator: Emulator, credential: ClientSecretCredential) -> None:
    refusal = {"error": {"code": "UserError", "message": "Not that image."}}
    arm_fault(emulator, status=400, body=refusal)

    with pytest.raises(AzureMLError, match="Not that image"):
        impatient(credential).submit(REQUEST, ANYWHERE)


def impatient(credential: ClientSecretCredential) -> JobSubmitter:
    """A submitter whose second tries do not wait."""
    name = WorkspaceName()
    address = WorkspaceAddress(name.subscription_id, name.resource_group, name.name)
    transport = WorkspaceTransport(sleeper=lambda _seconds: None)
    return JobSubmitter(WorkspaceConnection(address, lambda: credential, transport=transport))
