"""`zenml-azureml jobs shell`: why there is none, and what to do; what opens one is in tests/e2e/test_held_jobs.py."""

from __future__ import annotations

import re
from typing import Any

import pytest
from azure.ai.ml import command
from azure.ai.ml.entities import Environment, SshJobService, VsCodeJobService

from tests.cli.conftest import Cli
from tests.contract.waiting import eventually
from zenml_azureml.emulator.resources import Job


def running(cli: Cli, **services: Any) -> Job:
    """A job that is simulated, and so has no container."""
    cli.client.jobs.create_or_update(
        command(
            name="mine",
            command="true",
            environment=Environment(name="train", version="1", image="example.azurecr.io/train:1"),
            environment_variables={"SIMULATE_SECONDS": "100000"},
            services=services,
        )
    )
    job = cli.emulator.context.store.workspaces[0].find_job("mine")
    assert job is not None
    eventually(lambda: job.status == "Running")
    return job


def refused(cli: Cli, *arguments: str, job: str = "mine") -> str:
    """What is said on stderr, and nothing on stdout."""
    result = cli.run("jobs", "shell", job, *arguments, code=1)
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    return re.sub(r"\s+", " ", result.stderr)


def test_a_job_that_is_over_has_no_container(cli: Cli) -> None:
    cli.submit("mine", status="Failed", exit_code="3")

    said = refused(cli)

    assert "The Azure ML job `mine` has ended: Failed. Its container is gone." in said
    assert "set `hold_on_failure_minutes`" in said


def test_a_job_that_waits_has_none_yet(cli: Cli) -> None:
    job = running(cli)
    job.status = "Queued"

    assert "The Azure ML job `mine` is not running yet: its status is Queued." in refused(cli)


def test_a_job_without_ssh_has_no_shell(cli: Cli) -> None:
    running(cli, code=VsCodeJobService())

    said = refused(cli)

    assert "The Azure ML job `mine` has no SSH service." in said
    assert "It has `code` (VSCode), which its page in Studio opens: zenml-azureml jobs open mine" in said


def test_a_service_that_does_not_run_is_named_with_its_state(cli: Cli) -> None:
    running(cli, terminal=SshJobService(ssh_public_keys="ssh-ed25519 AAAA"))

    said = refused(cli)

    assert "The service `terminal` of the Azure ML job `mine` is not running on node 0: its status is `Failed`." in said
    assert "Azure: The emulator has no place for a shell: the job is simulated" in said


def test_a_node_that_the_job_does_not_have(cli: Cli) -> None:
    running(cli, terminal=SshJobService(ssh_public_keys="ssh-ed25519 AAAA"))

    assert "The Azure ML job `mine` has no node 3, or the node is not ready." in refused(cli, "--node", "3")


def test_a_job_that_does_not_exist(cli: Cli) -> None:
    assert "There is no job `other`" in refused(cli, job="other")


def test_a_machine_without_ssh(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    running(cli)
    monkeypatch.setenv("PATH", "/nowhere")

    said = refused(cli)

    assert "The program `ssh` is not installed." in said
    assert "openssh-client" in said
