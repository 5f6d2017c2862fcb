"""Jobs that fail on purpose: what their states, their log and run history say, on either runtime."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import point_clients_at
from tests.contract.arm import Arm
from tests.contract.waiting import eventually
from zenml_azureml.emulator import Emulator
from zenml_azureml.emulator.clock import ManualClock, SystemClock
from zenml_azureml.emulator.context import Settings
from zenml_azureml.emulator.resources import TERMINAL_STATES
from zenml_azureml.emulator.runtimes.process.runtime import ProcessRuntime
from zenml_azureml.emulator.runtimes.simulated.runtime import SimulatedRuntime
from zenml_azureml.emulator.scenarios.catalogue import SCENARIOS

CLUSTER = {"vmSize": "Standard_DS3_v2", "scaleSettings": {"minNodeCount": 0, "maxNodeCount": 4}}

#: A job that lasts, on either runtime, and says one word before.
LASTING: dict[str, Any] = {"command": "echo begun; sleep 600", "environmentVariables": {"SIMULATE_SECONDS": "600"}}


@pytest.fixture(params=["simulated", "process"])
def either(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Arm]:
    """An emulator with one runtime, then with the other, and in it a cluster and an environment."""
    settings = Settings(compute_provisioning=0, job_preparation=0.1, job_finalization=0)
    simulated = SimulatedRuntime(SystemClock(), settings)
    runtime = simulated if request.param == "simulated" else ProcessRuntime(grace=0.1)
    with Emulator(tmp_path / "emulator", runtime=runtime, settings=settings) as emulator:
        point_clients_at(emulator, monkeypatch)
        yield ready(Arm(emulator))


def ready(arm: Arm) -> Arm:
    body = {"location": "westeurope", "properties": {"computeType": "AmlCompute", "properties": CLUSTER}}
    assert arm.call("PUT", "computes/nodes", body, api_version="2023-04-01").status == 201
    image = {"properties": {"image": "example.azurecr.io/train:1"}}
    assert arm.call("PUT", "environments/ours/versions/1", image).status == 201
    return arm


def arm_scenario(arm: Arm, name: str, **rule: Any) -> None:
    answer = arm.call("POST", "/_emulator/scenario", {"name": name, **rule})
    assert answer.status == 201, answer.text


def submit(arm: Arm, name: str = "job", **properties: Any) -> None:
    environment = f"{arm.workspace}/environments/ours/versions/1"
    sent = {"jobType": "Command", "command": "echo", "environmentId": environment, **properties}
    assert arm.call("PUT", f"jobs/{name}", {"properties": sent}).status == 201


def on_cluster(arm: Arm, nodes: int = 1) -> dict[str, Any]:
    return {"computeId": f"{arm.workspace}/computes/nodes", "resources": {"instanceCount": nodes}}


def status(arm: Arm, name: str = "job") -> str:
    return str(arm.call("GET", f"jobs/{name}").body["properties"]["status"])


def ended(arm: Arm, name: str = "job") -> str:
    return eventually(lambda: now if (now := status(arm, name)) in TERMINAL_STATES else "")


def details(arm: Arm, name: str = "job") -> dict[str, Any]:
    found: dict[str, Any] = arm.call("GET", f"/history/v1.0{arm.workspace}/runs/{name}/details").body
    return found


def failure(arm: Arm, name: str = "job") -> tuple[str, str]:
    error = details(arm, name)["error"]["error"]
    return error["code"], error["message"]


def log(arm: Arm, name: str = "job") -> str:
    (url,) = details(arm, name)["logFiles"].values()
    return arm.call("GET", url, api_version=None, headers={"Authorization": ""}).text


def test_the_catalogue_names_for_each_scenario_who_has_told_of_it(arm: Arm) -> None:
    listed = arm.call("GET", "/_emulator/scenarios").body

    assert [scenario["name"] for scenario in listed] == list(SCENARIOS)
    assert all(scenario["sources"] for scenario in listed)
    assert all(scenario["summary"].endswith(".") for scenario in listed)


def test_the_documentation_lists_the_catalogue() -> None:
    documentation = (Path(__file__).parents[2] / "docs" / "emulator.md").read_text()
    rows = re.findall(r"^\| `([\w-]+)` \| (.*) \|$", documentation.partition("| scenario |")[2], re.MULTILINE)

    assert [(name, f"{what}.".lower()) for name, what in rows] == [
        (scenario.name, scenario.summary.lower()) for scenario in SCENARIOS.values()
    ]


def test_an_image_that_may_not_be_pulled_fails_the_job_before_it_runs(either: Arm) -> None:
    arm_scenario(either, "image-pull-refused")
    submit(either)

    assert ended(either) == "Failed"
    code, message = failure(either)
    assert code == "UserError"
    assert message.startswith(
        "Failed to pull Docker image example.azurecr.io/train:1. This error may occur because the compute could not "
        "authenticate with the Docker registry to pull the image."
    )
    assert details(either)["error"]["componentName"] == "CommonRuntime"
    assert (details(either)["startTimeUtc"], details(either)["logFiles"]) == (None, {})


def test_an_image_for_another_architecture_fails_the_job_without_a_log(either: Arm) -> None:
    arm_scenario(either, "image-architecture")
    submit(either)

    assert ended(either) == "Failed"
    code, message = failure(either)
    assert code == "ServiceError"
    assert re.search(r"exec /mnt/azureml/cr/j/\w{32}/cap/lifecycler/wd/execution-wrapper: no such file or dir", message)
    assert r'directory\n") }.' in message
    assert details(either)["logFiles"] == {}


def test_a_compute_can_be_gone_or_broken_when_its_turn_comes(either: Arm) -> None:
    arm_scenario(either, "no-such-compute")
    arm_scenario(either, "compute-failed")
    submit(either, "first", **on_cluster(either))
    submit(either, "second", **on_cluster(either))

    assert (ended(either, "first"), ended(either, "second")) == ("Failed", "Failed")
    assert failure(either, "first") == ("UserError", "AzureMLCompute cluster nodes does not exist")
    assert failure(either, "second")[1] == "AzureMLCompute cluster nodes is in failed state and thus not ready for runs"


def test_a_serverless_job_has_no_compute_that_could_be_gone(either: Arm) -> None:
    arm_scenario(either, "no-such-compute")
    submit(either)

    assert ended(either) == "Completed"
    assert either.call("GET", "/_emulator/scenario").body[0]["fired"] == 0


def test_quota_counts_the_vcpus_of_the_jobs_nodes(either: Arm) -> None:
    arm_scenario(either, "quota")
    submit(either, **on_cluster(either, nodes=3))

    assert ended(either) == "Failed"
    code, message = failure(either)
    assert code == "UserError"
    assert (
        "status code JobNodeCountExceedsCoreQuota, The specified subscription has a Standard DSv2 family vCPU quota of "
        "0 and is less than the requested job node count of 3 which maps to 12 vCPUs." in message
    )


def test_a_job_that_never_starts_waits_until_it_is_cancelled(either: Arm) -> None:
    arm_scenario(either, "never-started")
    submit(either, **on_cluster(either))

    eventually(lambda: status(either) == "Queued")
    either.call("POST", "jobs/job/cancel")

    assert ended(either) == "Canceled"
    assert details(either)["startTimeUtc"] is None


@pytest.mark.parametrize(
    ("scenario", "exit_code", "last_line"),
    [
        ("out-of-memory", 137, "Killed"),
        ("disk-full", 1, "OSError: [Errno 28] No space left on device: 'outputs/model.bin'"),
        ("user-error", 1, "ValueError: could not convert string to float: 'n/a'"),
    ],
)
def test_a_command_can_end_with_a_word_in_its_log(either: Arm, scenario: str, exit_code: int, last_line: str) -> None:
    arm_scenario(either, scenario, after=0.5)
    submit(either, **LASTING)

    assert ended(either) == "Failed"
    code, message = failure(either)
    assert code == "UserError"
    assert f"exited with status code {exit_code}. Please check log file 'user_logs/std_log.txt'" in message
    assert message.endswith(last_line)
    assert log(either).splitlines()[0] in {"begun", "simulated line 1 of 1"}
    assert log(either).splitlines()[-1] == last_line


def test_a_command_can_end_without_a_word(either: Arm) -> None:
    arm_scenario(either, "exit-code")
    arm_scenario(either, "early-exit")
    submit(either, "first", **LASTING)
    submit(either, "second", **LASTING)

    assert (ended(either, "first"), ended(either, "second")) == ("Failed", "Completed")
    assert "exited with status code 3." in failure(either, "first")[1]


def test_a_preempted_job_fails_in_azures_words(either: Arm) -> None:
    arm_scenario(either, "preempted")
    submit(either, **LASTING, **on_cluster(either))

    assert ended(either) == "Failed"
    assert failure(either) == (
        "UserError",
        "AzureMLCompute job failed.\nPreemptionError: Nodes of this job got pre-empted. Check if the run has failed or "
        "restarted.\n\tReason: Received pre-emption warning signal",
    )


def test_a_preempted_job_can_be_restarted_from_its_beginning_with_a_log_of_its_own(either: Arm) -> None:
    arm_scenario(either, "preempted-restarted", after=0.5)
    submit(either, command="echo begun; sleep 1", environmentVariables={"SIMULATE_SECONDS": "1"}, **on_cluster(either))

    # It is Queued for a moment only, which a busy machine may miss.
    eventually(lambda: status(either) == "Queued" or attempt_of(either) == 2)

    assert ended(either) == "Completed"
    assert list(details(either)["logFiles"]) == ["user_logs/retry_001/std_log.txt", "user_logs/std_log.txt"]
    assert attempt_of(either) == 2


def attempt_of(arm: Arm) -> int:
    number: int = arm.call("GET", f"/history/v1.0{arm.workspace}/runs/job").body["currentAttemptId"]
    return number


def test_a_job_whose_node_fails_does_not_respond_before_it_fails(either: Arm) -> None:
    arm_scenario(either, "node-failure")
    submit(either, **LASTING)

    eventually(lambda: status(either) == "NotResponding")

    assert ended(either) == "Failed"
    assert failure(either)[0] == "ServiceError"


def test_a_job_whose_time_is_over_is_cancelled_and_has_run_for_that_long(either: Arm) -> None:
    arm_scenario(either, "timeout", times=2)
    submit(either, "unlimited", command="echo")
    submit(either, **LASTING, limits={"jobLimitsType": "Command", "timeout": "PT1H"})

    assert (ended(either, "unlimited"), ended(either)) == ("Completed", "Canceled")
    said = details(either)
    assert said["error"] is None
    assert said["runDefinition"]["maxRunDurationSeconds"] == 3600
    began, ended_at = (datetime.strptime(said[key], "%Y-%m-%dT%H:%M:%S.%fZ") for key in ("startTimeUtc", "endTimeUtc"))
    assert timedelta(hours=1) <= ended_at - began < timedelta(hours=1, minutes=1)
    properties = either.call("GET", "jobs/job").body["properties"]["properties"]
    assert properties["StartTimeUtc"] == f"{began:%Y-%m-%d %H:%M:%S}"


# Arming


def test_a_scenario_is_for_the_jobs_that_it_names_and_for_so_many(either: Arm) -> None:
    arm_scenario(either, "exit-code", jobs="step=train$", times=2)
    for name, step in (("a", "evaluate"), ("b", "train"), ("c", "TRAIN"), ("d", "train")):
        submit(either, name, tags={"step": step})

    assert [ended(either, name) for name in "abcd"] == ["Completed", "Failed", "Failed", "Completed"]
    (armed,) = either.call("GET", "/_emulator/scenario").body
    assert armed == {"name": "exit-code", "jobs": "step=train$", "times": 2, "after": 0.0, "now": False, "fired": 2}


@pytest.mark.parametrize("pattern", ["^special$", "shown as", "the-experiment"])
def test_a_job_is_named_by_its_name_its_display_name_or_its_experiment(arm: Arm, pattern: str) -> None:
    arm_scenario(arm, "exit-code", jobs=pattern)
    submit(ready(arm), "special", displayName="shown as this", experimentName="the-experiment")

    assert ended(arm, "special") == "Failed"


def test_a_command_that_ends_before_it_would_happen_is_spared(slow: Emulator, clock: ManualClock) -> None:
    arm = Arm(slow)
    arm_scenario(arm, "out-of-memory", after=30)
    image = {"properties": {"image": "example.azurecr.io/train:1"}}
    assert arm.call("PUT", "environments/ours/versions/1", image).status == 201
    submit(arm, environmentVariables={"SIMULATE_SECONDS": "10"})

    slow.run(clock.advance(300))

    assert status(arm) == "Completed"


def test_a_reset_disarms(arm: Arm) -> None:
    arm_scenario(arm, "exit-code")

    arm.call("POST", "/_emulator/reset")

    assert arm.call("GET", "/_emulator/scenario").body == []


@pytest.mark.parametrize(
    ("rule", "complaint"),
    [
        ({}, "name: Field required"),
        ({"name": "flood"}, "there is no scenario 'flood': there are image-pull-refused, "),
        ({"name": "quota", "jobs": "("}, "jobs: Value error, not a regular expression"),
        ({"name": "quota", "times": 0}, "times: Input should be greater than or equal to 1"),
        ({"name": "quota", "after": -1}, "after: "),
        ({"name": "quota", "job": "x"}, "job: Extra inputs are not permitted"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(arm: Arm, rule: dict[str, Any], complaint: str) -> None:
    refused = arm.call("POST", "/_emulator/scenario", rule)

    assert refused.status == 400
    assert complaint in refused.body["error"]
    assert arm.call("GET", "/_emulator/scenario").body == []
