"""Recognising why a job failed: words that users of Azure ML have quoted, and those of the programs in a job."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zenml_azureml.azure.failures import causes_before, causes_while
from zenml_azureml.azure.failures.cause import Cause
from zenml_azureml.azure.failures.classifier import (
    FailedJob,
    cause_of,
    exception_in,
    exit_code_of,
    is_lack_of_capacity,
    is_preemption,
    signal_of,
    split_message,
    without_repetition,
)

ENDED = (
    "Execution failed. User process 'python' exited with status code {}. Please check log file "
    "'user_logs/std_log.txt' for error details."
)
UNAUTHORIZED = (
    "AzureMLCompute job failed.\nFailedPullingImage: Unable to pull docker image\n\timageName: r.azurecr.io/custom:v1"
    '\n\terror: Run docker command to pull public image failed with error: Error response from daemon: Head "https://'
    'r.azurecr.io/v2/custom/manifests/v1": unauthorized: authentication required, visit https://aka.ms/acr/'
    "authorization for more information.\n."
)
BAD_NAME = (
    "AzureMLCompute job failed.\nAcrRefreshTokenRetrievalError: Unable to retrieve ACR refresh token using Compute "
    "Identity a91a298d, please check if compute identity has access to ACR.\n\terr: Run docker command to pull private "
    "image failed with error: error response from daemon: get https://r.azurecr.ior.azurecr.io/v2/: dial tcp: lookup "
    "r.azurecr.ior.azurecr.io on 168.63.129.16:53: no such host\n."
)
WRAPPER = (
    "Failed to execute command group with error Container `7b8c-execution-wrapper-init` failed with status code `1` "
    "and it was not possible to extract the structured error Container `7b8c-execution-wrapper-init` exited with code "
    "1 due to error None and we couldn't read the error due to GetErrorFromContainerFailed {{ last_stderr: "
    'Some("{}\\n") }}.'
)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        pytest.param(
            "Failed to pull Docker image r.azurecr.io/azureml/azureml_23. This error may occur because the compute "
            "could not authenticate with the Docker registry to pull the image. If using ACR please ensure ...",
            "image-pull-refused",
            id="Azure/azureml-examples#3463",
        ),
        pytest.param(UNAUTHORIZED, "image-pull-refused", id="Azure/MachineLearningNotebooks#1733"),
        pytest.param(
            "Error response from daemon: pull access denied for base_training, repository does not exist or may "
            "require 'docker login'",
            "image-pull-refused",
            id="Azure/azure-sdk-for-python#19426",
        ),
        pytest.param(
            "Authentication failed for container registry docker.io",
            "image-pull-refused",
            id="MicrosoftDocs/azure-docs#86702",
        ),
        pytest.param(BAD_NAME, "registry-unreachable", id="solliancenet/tech-immersion-data-ai#40"),
        pytest.param(
            "Failed to pull Docker image r.azurecr.io/train:9 due to: manifest for r.azurecr.io/train:9 not found: "
            "manifest unknown",
            "image-not-found",
            id="Docker, a tag that does not exist",
        ),
        pytest.param(
            "Failed to pull Docker image r.azurecr.io/train:1: failed to register layer: write /opt/lib.so: no space "
            "left on device",
            "disk-full",
            id="Docker, a layer without room",
        ),
        pytest.param("Failed to pull Docker image r.azurecr.io/train:1.", "image-pull-failed", id="a pull, no reason"),
        pytest.param(
            WRAPPER.format("exec /bin/sh: exec format error"),
            "image-architecture",
            id="Azure/azure-sdk-for-python#34501",
        ),
        pytest.param(
            WRAPPER.format(
                "exec /mnt/azureml/cr/j/9749/cap/lifecycler/wd/execution-wrapper: no such file or directory"
            ),
            "image-architecture",
            id="getindata/kedro-azureml#87",
        ),
        pytest.param(
            "Failed to execute command group with error API queried with a bad parameter: "
            '{"message":"failed to create task for container: OCI runtime create failed: runc create failed"}',
            "container-failed",
            id="Azure/azure-sdk-for-python#34501, its second message",
        ),
        pytest.param(
            "no matching manifest for linux/amd64 in the manifest list entries",
            "image-architecture",
            id="Docker, an image of other architectures",
        ),
        pytest.param(
            "AzureMLCompute cluster deal-uat does not exist",
            "no-such-compute",
            id="Azure/MachineLearningNotebooks#906",
        ),
        pytest.param(
            "AzureMLCompute cluster gpu-cluster is in failed state and thus not ready for runs",
            "compute-failed",
            id="Azure/MachineLearningNotebooks#1043",
        ),
        pytest.param(
            "Requested 2 nodes but AzureMLCompute cluster only has 1 maximum nodes.",
            "too-many-nodes",
            id="users' troubleshooting guides",
        ),
        pytest.param(
            "Job submission to AzureML Compute encountered an Exception with status code JobNodeCountExceedsCoreQuota, "
            "The specified subscription has a Standard DSv2 family vCPU quota of 2 and is less than the requested job "
            "node count of 2 which maps to 4 vCPUs.",
            "quota",
            id="MicrosoftLearning/mslearn-dp100#35",
        ),
        pytest.param(
            "AzureMLCompute job failed. PreemptionError: Nodes of this job got pre-empted. Check if the run has failed "
            "or restarted. Reason: Received pre-emption warning signal",
            "preempted",
            id="Azure/MachineLearningNotebooks#1242",
        ),
        pytest.param(
            "The specified Azure ML Compute Instance XXX encountered an unusable node.",
            "node-failure",
            id="MicrosoftDocs/azure-docs#85756",
        ),
    ],
)
def test_what_azure_says_is_recognised(message: str, expected: str) -> None:
    assert cause_of(FailedJob(message, "UserError")).name == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("OSError: [Errno 28] No space left on device: 'model.bin'", "disk-full"),
        ("cp: error writing 'out/model': No space left on device", "disk-full"),
        ("OSError: [Errno 122] Disk quota exceeded", "disk-full"),
        ("MemoryError", "out-of-memory"),
        ("numpy.core._exceptions._ArrayMemoryError: Unable to allocate 745. GiB for an array", "out-of-memory"),
        (
            "RuntimeError: [enforce fail at alloc_cpu.cpp:75] DefaultCPUAllocator: can't allocate memory",
            "out-of-memory",
        ),
        ("terminate called after throwing an instance of 'std::bad_alloc'", "out-of-memory"),
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.", "gpu-out-of-memory"),
        ("RuntimeError: CUDA error: out of memory", "gpu-out-of-memory"),
        (
            "RuntimeError: DataLoader worker (pid 71) is killed by signal: Bus error. It is possible that dataloader's "
            "workers are out of shared memory. Please try to raise your shared memory limit.",
            "shared-memory",
        ),
        ("ValueError: no such thing", "user-error"),
    ],
)
def test_what_a_program_says_at_its_end_is_recognised_in_its_log_and_in_its_report(line: str, expected: str) -> None:
    traceback = ("Traceback (most recent call last):", '  File "train.py", line 3, in <module>', line)

    in_log = cause_of(FailedJob(ENDED.format(1), "UserError", ("epoch 1", *traceback)))
    repeated = cause_of(FailedJob(f"{ENDED.format(1)} Error: {chr(10).join(traceback)}", "UserError"))
    reported = cause_of(FailedJob(ENDED.format(1), "UserError", traceback, reported=line))

    assert (in_log.name, repeated.name, reported.name) == (expected, expected, expected)
    assert line in reported.what


def test_what_the_step_itself_reports_wins_over_what_else_is_in_its_log() -> None:
    log = ("warning: No space left on device, cache is off", "ZeroDivisionError: division by zero")

    cause = cause_of(FailedJob(ENDED.format(1), "UserError", log, reported="ZeroDivisionError: division by zero"))

    assert (cause.name, cause.what) == ("user-error", "ZeroDivisionError: division by zero")


def test_what_was_said_long_before_the_end_is_not_its_cause() -> None:
    log = ("MemoryError: caught, going on with less", *(f"epoch {number}" for number in range(10)))

    assert cause_of(FailedJob(ENDED.format(2), "UserError", log)).name == "exit-code"


def test_azures_reason_wins_over_what_the_step_reported_when_it_was_ended() -> None:
    message = "AzureMLCompute job failed.\nPreemptionError: Nodes of this job got pre-empted."

    cause = cause_of(FailedJob(message, "UserError", reported="KeyboardInterrupt"))

    assert (cause.name, cause.what) == ("preempted", "Azure preempted its low-priority node (KeyboardInterrupt)")


@pytest.mark.parametrize(
    ("exit_code", "is_command", "expected"),
    [
        (3, False, "its process ended with exit code 3 and reported no error"),
        (7, True, "its command ended with exit code 7"),
        (-11, True, "its command was ended by SIGSEGV (exit code -11)"),
        (139, False, "its process was ended by SIGSEGV (exit code 139)"),
        (143, False, "its process was ended by SIGTERM (exit code 143)"),
        (255, True, "its command ended with exit code 255"),
    ],
)
def test_an_exit_code_is_told_as_what_it_means(exit_code: int, is_command: bool, expected: str) -> None:
    cause = cause_of(FailedJob(ENDED.format(exit_code), "UserError", is_command=is_command))

    assert (cause.name, cause.what) == ("exit-code", expected)


@pytest.mark.parametrize("exit_code", [137, -9])
def test_a_kill_is_most_likely_for_want_of_memory(exit_code: int) -> None:
    cause = cause_of(FailedJob(ENDED.format(exit_code), "UserError", ("epoch 1",)))

    assert (cause.name, "most likely" in cause.what) == ("out-of-memory", True)


def test_a_fault_of_the_service_is_told_by_its_code() -> None:
    assert cause_of(FailedJob("Something broke.", "ServiceError")).name == "service-fault"
    assert cause_of(FailedJob("Something is wrong with what was asked for.", "UserError")).name == "unknown"
    assert cause_of(FailedJob()).name == "unknown"


def test_the_last_exception_of_a_traceback_is_found_with_what_follows_it() -> None:
    log = [
        "Traceback (most recent call last):",
        "KeyError: 'a'",
        "During handling of the above exception, another exception occurred:",
        "Traceback (most recent call last):",
        '  File "train.py", line 3, in <module>',
        "    ~~~^^^",
        "my.errors.DataError: no rows",
        "cleaning up",
    ]

    assert exception_in(log) == "my.errors.DataError: no rows"
    assert exception_in(["no traceback here", "ValueError: only a line"]) == ""


# Azure's words and the log


def test_lines_that_azure_repeats_stay_in_the_log() -> None:
    log = ("epoch 1", "Traceback (most recent call last):", "ValueError: x")
    message = f"{ENDED.format(1)} Error: Traceback (most recent call last):\nValueError: x"

    assert without_repetition(message, log) == (ENDED.format(1), log)


def test_more_lines_than_were_read_are_taken_from_azure() -> None:
    message = f"{ENDED.format(1)} Error: one\ntwo\nthree"

    assert without_repetition(message, ("two", "three")) == (ENDED.format(1), ("one", "two", "three"))


def test_lines_of_another_log_stay_beside_those_of_this_one() -> None:
    message = f"{ENDED.format(1)} Error: of process 2\ncommon"

    assert without_repetition(message, ("of process 0", "common")) == (message, ("of process 0",))


LINES = st.lists(st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=8), max_size=40)


@given(repeated=LINES, tail=LINES)
def test_no_line_is_told_twice_and_none_is_lost(repeated: list[str], tail: list[str]) -> None:
    message = f"{ENDED.format(1)} Error: " + "\n".join(repeated)

    azure, log = without_repetition(message, tail)

    in_azure = {line.strip() for line in split_message(azure)[1].splitlines()} - {""}
    in_log = {line.strip() for line in log} - {""}
    assert not in_azure & in_log
    assert {line.strip() for line in tail} - {""} <= in_azure | in_log


@given(message=st.text(), code=st.text(max_size=5), log=LINES, reported=st.text(max_size=20), is_command=st.booleans())
def test_every_failure_gets_a_cause_that_says_what_to_do(
    message: str, code: str, log: list[str], reported: str, is_command: bool
) -> None:
    cause = cause_of(FailedJob(message, code, log, reported, is_command))

    assert cause.hint.endswith(".")
    assert reported in cause.what


@given(st.integers(-70, 300))
def test_an_exit_code_comes_back_from_azures_words(exit_code: int) -> None:
    assert exit_code_of(ENDED.format(exit_code)) == exit_code
    assert signal_of(exit_code).startswith("SIG") or not signal_of(exit_code)


def test_each_cause_has_its_place_in_the_documentation() -> None:
    page = (Path(__file__).parents[2] / "docs" / "failures.md").read_text()
    constants = [*vars(causes_before).values(), *vars(causes_while).values()]
    names = {cause.name for cause in constants if isinstance(cause, Cause)}

    assert names - set(re.findall(r"`([\w-]+)`", page)) == set()


@pytest.mark.parametrize("exit_code", [1, -9])
def test_what_azure_says_of_another_process_is_not_said_of_the_one_that_failed_first(exit_code: int) -> None:
    message = f"{ENDED.format(exit_code)} Error: Traceback (most recent call last):\nConnectionError: out of memory"
    tail = ["  frames of a traceback", "ValueError: no such sample: 17"]

    cause = cause_of(FailedJob(message, "UserError", tail, is_named=False, exception=tail[-1]))

    assert (cause.name, cause.what) == ("user-error", "ValueError: no such sample: 17")


@pytest.mark.parametrize(
    ("words", "is_what"),
    [("The node was preempted.", is_preemption), ("Quota exceeded for family DSv2.", is_lack_of_capacity)],
)
def test_what_a_program_prints_before_it_fails_is_no_reason_to_submit_its_step_again(
    words: str, is_what: Callable[[str], bool]
) -> None:
    assert is_what(words)
    assert not is_what(f"{ENDED.format(1)} Error: {words}")
