"""Texts that jobs and clients of 1cf68d9 exchange, as that version has them: no later version can change them.

Also for clones without that commit, in which tests/e2e/test_older_version.py cannot run.
"""

from __future__ import annotations

import importlib
import re
import shlex
from pathlib import Path

import pytest

import zenml_azureml
from zenml_azureml.azure.failures.causes_while import SECRETS_UNREAD
from zenml_azureml.azure.failures.classifier import FailedJob, cause_of
from zenml_azureml.azure.logs.tail import LogTail
from zenml_azureml.checkpoints import OUTPUT
from zenml_azureml.contract import variables
from zenml_azureml.contract.commands import prepared, rank_command, unprepared
from zenml_azureml.contract.secret_chunks import further_parts, parts_of, variables_in

PACKAGE = Path(zenml_azureml.__file__).parent

ZENML = "python -m zenml.entrypoints.entrypoint --entrypoint_config_source {} --step_name train --step_run_id 1"
OF_ZENML = ZENML.format("zenml.step_operators.X")
RANKED = ZENML.format("zenml_azureml.in_job.ranked_step.RankedEntrypointConfiguration")


def test_a_job_with_ranks_or_secrets_has_the_same_command_line_and_variables() -> None:
    ranked = shlex.join(rank_command(shlex.split(OF_ZENML)))

    assert ranked == RANKED
    assert prepared(ranked, {"ZENML_AZUREML_JOB_RANKS": "1"}) == f"python -m zenml_azureml.in_job {RANKED}"
    names = ["ZENML_AZUREML_JOB_VAULT_SECRET", "ZENML_AZUREML_JOB_VAULT_AUDIENCE"]
    assert prepared(OF_ZENML, dict.fromkeys(names, "1")) == f"python -m zenml_azureml.in_job {OF_ZENML}"
    assert [*names, "ZENML_AZUREML_JOB_RANKS"] == [variables.VAULT_SECRET, variables.VAULT_AUDIENCE, variables.RANKS]
    assert OUTPUT == "checkpoints"


def test_what_such_a_command_line_names_is_still_there() -> None:
    module, _, name = RANKED.split()[4].rpartition(".")

    assert isinstance(getattr(importlib.import_module(module), name), type)
    assert importlib.util.find_spec("zenml_azureml.in_job.__main__")


@pytest.mark.parametrize(
    "prefix",
    [
        "python -m zenml_azureml.in_job ",
        "$(python -c 'import zenml_azureml.in_job' >/dev/null 2>&1 && echo python -m zenml_azureml.in_job) ",
    ],
)
def test_the_own_command_of_a_step_is_found_in_definitions_of_earlier_jobs(prefix: str) -> None:
    assert unprepared(prefix + OF_ZENML) == OF_ZENML


def test_secrets_in_a_vault_have_the_same_form() -> None:
    assert parts_of({"B": "é", "A": "1"}) == ['{"A":"1","B":"\\u00e9"}']
    assert variables_in(['{"A":"1",', '"B":"2"}']) == {"A": "1", "B": "2"}
    assert further_parts("name", {"zenml_parts": "3"}) == ["name-part2", "name-part3"]


#: Keys of tags, of metadata of step runs and of images in builds, all of which are stored.
STORED = [
    "zenml_pipeline",
    "zenml_run",
    "zenml_run_id",
    "zenml_run_url",
    "zenml_step",
    "zenml_step_run_id",
    "zenml_server_id",
    "zenml_vault_secret",
    "azureml_job",
    "azureml_workspace",
    "zenml_attempt",
    "zenml_previous_job",
    "zenml_usd_per_hour_all_nodes",
    "zenml_target",
    "zenml_parts",
    "azureml_attempts",
    "azureml_usd_per_hour_all_nodes",
    "azureml_cost_usd",
    "azureml_job_name",
    "azureml_job_id",
    "azureml_studio_url",
    "azureml_compute",
    "azureml_vm_size",
    "azureml_usd_per_hour_and_node",
    "azureml_vault_secret",
    "azureml_step_operator",
]


def test_the_keys_that_are_stored_with_jobs_and_step_runs_are_the_same() -> None:
    sources = [path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py") if "emulator" not in path.parts]

    constants = {
        value for text in sources for value in re.findall(r'^[A-Z_]+(?:: Final)? = "(\w+)"', text, re.MULTILINE)
    }

    assert [key for key in STORED if key not in constants] == []


@pytest.mark.parametrize(
    "line",
    [
        "zenml-azureml: Reading the step's secrets failed (https://v/secrets/s): 403 (Forbidden) no.",
        "zenml-azureml: Signing in with the job's managed identity failed: the answer has no token.",
        "zenml-azureml: The secret https://v/secrets/s holds no environment variables.",
    ],
)
def test_errors_of_an_older_image_have_their_cause(line: str) -> None:
    failed = FailedJob(message="User process exited with status code 1.", log_tail=[line])

    assert cause_of(failed).what == SECRETS_UNREAD.what


def test_a_failed_rank_of_an_older_image_is_recognised() -> None:
    tail = LogTail()

    tail.add("zenml-azureml: rank 3 of 4, on node 1, failed at 2026-10-01T12:00:00.000001+00:00")

    assert tail.failed_at == "2026-10-01T12:00:00.000001+00:00"
