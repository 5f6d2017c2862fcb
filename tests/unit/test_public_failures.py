"""Failures of jobs that people have quoted in public: each is recognised, by the words that they quote."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.test_causes import ENDED
from zenml_azureml.azure.connection import WorkspaceAddress
from zenml_azureml.azure.failures.classifier import FailedJob, cause_of
from zenml_azureml.azure.failures.registries import registry_in
from zenml_azureml.azure.jobs.run_history import details_of

GITHUB = "https://github.com/"
ADDRESS = WorkspaceAddress("00000000-0000-0000-0000-000000000001", "group", "space")

#: What Azure ML says: the source, the words, the cause.
SAID_BY_AZURE = [
    (
        "MicrosoftDocs/azure-docs/issues/120843",
        "DataProcessingError(DataProcessingError { error_value: SyncErrorValue { error_code: "
        '"Microsoft.DPrep.ErrorValues'
        '.PermissionDenied", source_value: "x" } })',
        "storage-access",
    ),
    (
        "Azure/azureml-examples/issues/2994",
        "Error Code: ScriptExecution.WriteStreams.Authentication\nNative Error: An error occur when streaming data to "
        "output target.\n\tDestinationError(PermissionDenied(None))\n=> Permission denied while trying to write: None.",
        "storage-access",
    ),
    (
        "MicrosoftDocs/azure-docs/issues/115451",
        "UserError: This request is not authorized to perform this operation using this permission.",
        "storage-access",
    ),
    (
        "Azure-Samples/azure-ml-federated-learning/pull/210",
        "Dataset initialization failed: AzureMLException:\n\tMessage: "
        "DataAccessError(PermissionDenied)\n\tInnerException",
        "storage-access",
    ),
    (
        "microsoft/rag-experiment-accelerator/issues/866",
        "Operation returned an invalid status 'Key based authentication is not permitted on this storage account.'",
        "storage-keys-disabled",
    ),
    (
        "Azure/azure-sdk-for-python/issues/38826",
        "ManagedIdentityCredential authentication unavailable. The requested identity has not been assigned to this "
        "resource. Error: Unexpected response",
        "identity-missing",
    ),
    (
        "MicrosoftLearning/mslearn-ai-fundamentals/issues/52",
        "ScriptExecution.StreamAccess.NotFound\nNotFound",
        "data-not-found",
    ),
    (
        "MicrosoftDocs/azure-docs/issues/103519",
        "Error Message: ScriptExecutionException was caused by StreamAccessException. StreamAccessException was caused "
        "by NotFoundException. Found no resources for the input provided",
        "data-not-found",
    ),
    (
        "Azure/azureml-examples/issues/2941",
        "Failed to submit job due to Exception: Response status code does not indicate success: 404 (Could not find "
        "datastore: azureml_managed_openaidevaulttrainingdata.).",
        "datastore-missing",
    ),
    (
        "MicrosoftDocs/azure-docs/issues/39532",
        "AzureMLCompute job failed. AZFMountError: unable to mount Azure File Info: Could not mount Azure File Share "
        "//# "
        "at #mounts/new_ds1:",
        "mount-failed",
    ),
    (
        "Azure-Samples/mlops-enterprise-template/issues/4",
        "Image build failed. For more details, check log file azureml-logs/20_image_build_log.txt.",
        "image-build-failed",
    ),
    (
        "Azure/azure-cli/issues/23608",
        "Failed building the Environment. You can try debugging locally first.",
        "image-build-failed",
    ),
    (
        "MicrosoftDocs/pipelines-azureml/issues/31",
        "Image build run on compute failed: User starting the run is not an owner or assigned user to the Compute "
        "Instance",
        "instance-of-another-user",
    ),
    (
        "MicrosoftDocs/pipelines-azureml/issues/10",
        "Unauthorized error encountered while attempting to connect to the container registry. Please try running "
        "resync keys on your workspace and retry.",
        "image-pull-refused",
    ),
    (
        "docker/hub-feedback/issues/2429",
        "Error response from daemon: toomanyrequests: You have reached your pull rate limit. You may increase the "
        "limit "
        "by authenticating and upgrading: https://www.docker.com/increase-rate-limit",
        "registry-rate-limit",
    ),
    (
        "Azure/MachineLearningNotebooks/issues/1482",
        "Error response from daemon: Get https://registry-1.docker.io/v2/: net/http: request canceled while waiting "
        "for "
        "connection (Client.Timeout exceeded while awaiting headers)",
        "registry-unreachable",
    ),
    (
        "Azure/azureml-previews/issues/183",
        "AzureMLCompute job failed.\nJobContainerConfigFailed: Container configuration failed unexpectedly\n\terr: "
        "Docker "
        "exec failure when attempting to execute 'containerSetup' task. Error: exit status 1",
        "container-setup-failed",
    ),
    (
        "Azure/MachineLearningNotebooks/issues/1405",
        "AzureMLCompute job failed.\nFailedStartingContainerUserError: Incorrect arguments or poorly formatted "
        "environment variables set. Please check 55_azureml-execution for error details",
        "docker-arguments",
    ),
    (
        "Azure/azure-sdk-for-python/issues/19500",
        "AzureMLCompute job failed.\nFailedStartingContainer: Unable to start docker container",
        "container-failed",
    ),
    (
        "NVIDIA/nvidia-docker/issues/1687",
        "docker: Error response from daemon: failed to create shim task: OCI runtime create failed: runc create "
        "failed: "
        "unable to start container process: error during container init: nvidia-container-cli: initialization error: "
        "nvml error: driver not loaded: unknown.",
        "no-gpu",
    ),
    (
        "aime-team/aime-ml-containers/issues/9",
        'Error response from daemon: could not select device driver "" with capabilities: [[gpu]]',
        "no-gpu",
    ),
    (
        "microsoft/azure-percept-advanced-development/issues/48",
        "AzureMLCompute job failed.\nServiceError: runTaskLetTask failed because: libffi.so.7: cannot open shared "
        "object "
        "file: No such file or directory\n\tReason: Job failed with non-zero exit Code",
        "library-missing",
    ),
    (
        "MicrosoftDocs/azure-docs/issues/90426",
        "Access to workspace was denied based on workspace private link configuration.",
        "private-link",
    ),
    (
        "microsoft/vscode-azureappservice/issues/1646",
        "The subscription '986ab24e' is disabled and therefore marked as read only. You cannot perform any write "
        "actions "
        "on this subscription until it is re-enabled.",
        "subscription-disabled",
    ),
    (
        "Azure-Player/azure.datafactory.devops/issues/183",
        "The scope '/x' cannot perform delete operation because following scope(s) are locked: '/y'. Please remove the "
        "lock and try again.",
        "locked",
    ),
]

#: The end of a program's log: the source, the last lines, the cause.
SAID_BY_PROGRAM = [
    ("NVIDIA/nccl/issues/1101", ["RuntimeError: NCCL Error 2: unhandled system error"], "nccl"),
    (
        "NVIDIA/nccl/issues/1059",
        ["ncclSystemError: System call (e.g. socket, malloc) or external library call failed or device error."],
        "nccl",
    ),
    (
        "Azure/azureml-examples/issues/675",
        [
            "8dbe9e7102e4446db27ef6fb1a2533e9000001:176:194 [0] init.cc:573 NCCL WARN Duplicate GPU detected : rank "
            "0 and "
            "rank 1 both on CUDA device 1cb00000"
        ],
        "duplicate-gpu",
    ),
    (
        "pytorch/pytorch/issues/118369",
        [
            "terminate called after throwing an instance of 'std::runtime_error'",
            "  what():  [Rank 7] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=96120, "
            "OpType=ALLREDUCE, "
            "Timeout(ms)=1800000) ran for 25624887 milliseconds before timing out.",
        ],
        "collective-timeout",
    ),
    (
        "pytorch/pytorch/issues/107021",
        [
            "[E socket.cpp:860] [c10d] The client socket has timed out after 60s while trying to connect to "
            "192.0.0.1:1234",
            "torch.distributed.elastic.rendezvous.api.RendezvousConnectionError: The connection to the C10d store has "
            "failed. See inner exception for details.",
        ],
        "rendezvous-failed",
    ),
    (
        "nvidia-cosmos/cosmos-rl/issues/681",
        [
            "torch.distributed.DistNetworkError: The client socket has timed out after 300000ms while trying to "
            "connect "
            "to (036c56dce41b, 41331)."
        ],
        "rendezvous-failed",
    ),
    (
        "deepspeedai/DeepSpeed/issues/935",
        [
            "*** An error occurred in MPI_Init_thread",
            "*** on a NULL communicator",
            "*** MPI_ERRORS_ARE_FATAL (processes in this communicator will now abort,",
            "***    and potentially your MPI job)",
        ],
        "mpi-failed",
    ),
    (
        "kubeflow/mpi-operator/issues/152",
        [
            "* an inability to create a connection back to mpirun due to a",
            "  lack of common network interfaces and/or no route found between",
            "  them. Please check network connectivity (including firewalls",
            "  and network routing requirements).",
        ],
        "mpi-failed",
    ),
    (
        "aws/sagemaker-mxnet-inference-toolkit/issues/112",
        ["OSError: libcuda.so.1: cannot open shared object file: No such file or directory"],
        "no-gpu",
    ),
    (
        "MicrosoftDocs/azure-docs/pull/10323",
        ["RuntimeError: CUDA driver version is insufficient for CUDA runtime version"],
        "gpu-driver",
    ),
    (
        "PrateekMunjal/TorchAL/issues/4",
        ["RuntimeError: CUDA error: no kernel image is available for execution on the device"],
        "gpu-architecture",
    ),
    (
        "vllm-project/vllm/issues/5222",
        [
            "RuntimeError: CUDA error: uncorrectable ECC error encountered",
            "CUDA kernel errors might be asynchronously reported at some other API call, so the stacktrace below "
            "might be "
            "incorrect.",
            "For debugging consider passing CUDA_LAUNCH_BLOCKING=1.",
            "Compile with `TORCH_USE_CUDA_DSA` to enable device-side assertions.",
        ],
        "gpu-hardware",
    ),
    ("MicrosoftDocs/azure-docs/issues/68288", ["ModuleNotFoundError: No module named 'azureml'"], "module-missing"),
    (
        "Azure/MachineLearningNotebooks/issues/317",
        ["ImportError: libSM.so.6: cannot open shared object file: No such file or directory"],
        "library-missing",
    ),
    (
        "Azure/azureml-assets/pull/3382",
        ["ImportError: /lib/x86_64-linux-gnu/libstdc++.so.6: version `GLIBCXX_3.4.29' not found"],
        "library-missing",
    ),
    ("kuleshov-group/caduceus/issues/58", ["OSError: [Errno 24] Too many open files"], "too-many-open-files"),
    (
        "tomaarsen/SpanMarkerNER/issues/52",
        [
            "MaxRetryError: HTTPSConnectionPool(host='huggingface.co', port=443): Max retries exceeded with url: "
            "/bert-base-uncased/resolve/main/config.json (Caused by NewConnectionError('<urllib3.connection."
            "HTTPSConnection object at 0x783edf828070>: Failed to establish a new connection: [Errno -3] Temporary "
            "failure in name resolution'))"
        ],
        "network-unreachable",
    ),
    (
        "Azure/azure-sdk-for-python/issues/33694",
        [
            'ManagedIdentityCredential: Unexpected content type "text/plain; charset=utf-8" Content: SSO failure: '
            "unable "
            "to retrieve a token. Error Token service plemaitre-cpu2. Token not found"
        ],
        "identity-missing",
    ),
    (
        "Azure/azure-sdk-for-python/issues/37546",
        [
            "azure.core.exceptions.HttpResponseError: Operation returned an invalid status 'This request is not "
            "authorized to perform this operation using this permission.'",
            "ErrorCode:AuthorizationPermissionMismatch",
        ],
        "storage-access",
    ),
]


@pytest.mark.parametrize(("source", "message", "expected"), SAID_BY_AZURE, ids=[one[0] for one in SAID_BY_AZURE])
def test_what_azure_says_is_recognised(source: str, message: str, expected: str) -> None:
    for code in ("UserError", "ServiceError", ""):
        cause = cause_of(FailedJob(message, code))

        assert cause.name == expected
        assert cause.what
        assert cause.advice(ADDRESS)


@pytest.mark.parametrize(("source", "lines", "expected"), SAID_BY_PROGRAM, ids=[one[0] for one in SAID_BY_PROGRAM])
def test_what_a_program_says_is_recognised_in_its_log_in_azures_copy_and_in_its_report(
    source: str, lines: list[str], expected: str
) -> None:
    in_log = cause_of(FailedJob(ENDED.format(1), "UserError", ("epoch 1", *lines)))
    repeated = cause_of(FailedJob(f"{ENDED.format(1)} Error: {chr(10).join(lines)}", "UserError"))
    reported = cause_of(FailedJob(ENDED.format(1), "UserError", reported="\n".join(lines)))

    assert (in_log.name, repeated.name, reported.name) == (expected, expected, expected)


def test_the_table_has_gained_what_people_quote() -> None:
    """Each has its source beside its pattern, in the code."""
    source = Path(__file__).parents[2] / "src" / "zenml_azureml" / "azure"
    code = (source / "failures" / "rules.py").read_text() + (source / "refusals" / "table.py").read_text()
    quoted = [f"{GITHUB}{one[0]}" for one in SAID_BY_AZURE + SAID_BY_PROGRAM]
    # ` and /1059` shortens a second report in one repository.
    shortened = [url for url in quoted if url in code or f"/{url.rpartition('/')[2]}" in code]

    known_before = {"container-failed", "image-pull-refused", "registry-unreachable"}
    assert len({one[2] for one in SAID_BY_AZURE + SAID_BY_PROGRAM} - known_before) >= 15
    assert set(quoted) - set(shortened) <= {
        f"{GITHUB}{other}"  # further words of a pattern that has another source
        for other in (
            "Azure/azure-sdk-for-python/issues/37546",
            "microsoft/azure-percept-advanced-development/issues/48",
            "Azure-Player/azure.datafactory.devops/issues/183",
        )
    }


# Registries


@pytest.mark.parametrize(
    ("message", "host"),
    [
        ("Failed to pull Docker image ghcr.io/team/train:1. This error may occur because the compute could not "
         "authenticate with the Docker registry to pull the image.", "ghcr.io"),
        ("Failed to pull Docker image team/train:1. This error may occur because the compute could not authenticate "
         "with "
         "the Docker registry to pull the image.", "docker.io"),
        # https://github.com/Azure/azure-sdk-for-python/issues/19426
        ("Error response from daemon: pull access denied for base_training, repository does not exist or may require "
         "'docker login'", "docker.io"),
        # https://github.com/MicrosoftDocs/azure-docs/issues/86702
        ("Authentication failed for container registry docker.io", "docker.io"),
        ('Unable to pull docker image\n\timageName: quay.io/team/x:v1\n\terror: Error response from daemon: Head '
         '"https://quay.io/v2/team/x/manifests/v1": unauthorized: access to the requested resource is not authorized',
         "quay.io"),
        ('error: Head "https://registry-1.docker.io/v2/team/x/manifests/v1": unauthorized: incorrect username or '
         'password'
         " while it tried to pull the image", "docker.io"),
        ("Failed to pull Docker image nvcr.io/nvidia/pytorch:24.01-py3.", "nvcr.io"),
        ("FailedPullingImage: Unable to pull docker image\n\timageName: gitlab.example.com:5050/a/b:1",
         "gitlab.example.com:5050"),
    ],
)  # fmt: skip
def test_a_registry_that_is_not_azures_needs_a_connection_and_no_role(message: str, host: str) -> None:
    cause = cause_of(FailedJob(message, "UserError"))

    assert cause.name in ("image-pull-refused", "image-pull-failed")
    assert f"`{host}`" in cause.hint
    assert "connection of the category `ContainerRegistry`" in cause.hint
    assert "AcrPull" not in cause.advice(ADDRESS)
    assert "sync-keys" not in cause.advice(ADDRESS)


@pytest.mark.parametrize("host", ["team.azurecr.io", "TEAM.azurecr.io", "team.azurecr.cn", "team.azurecr.us"])
def test_a_registry_of_azure_needs_the_role(host: str) -> None:
    message = f"Failed to pull Docker image {host}/train:1. The compute could not authenticate with the Docker registry"

    cause = cause_of(FailedJob(message, "UserError"))

    assert cause.name == "image-pull-refused"
    assert "AcrPull" in cause.hint


@given(st.text(max_size=200))
def test_any_message_has_a_registry_or_none(message: str) -> None:
    assert "/" not in registry_in(message)


# Failures whose cause is nested


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ({"error": {"error": {"code": "ScriptExecution.StreamAccess.Authentication", "message": "Failed."}}},
         "storage-access"),
        ({"code": "UserError", "message": "Job failed.", "innerError": {"code": "BadRequest", "innerError": {
            "code": "KeyBasedAuthenticationNotPermitted"}}}, "storage-keys-disabled"),
        ({"code": "UserError", "message": "Job failed.", "details": [{"code": "ScopeLocked", "message": "no"}]},
         "locked"),
        ({"code": "UserError", "message": "Job failed.", "additionalInfo": [
            {"type": "InnerError", "info": {"value": {"code": "RequestDisallowedByPolicy"}}}]}, "policy"),
        ({"code": "UserError", "message": "Job failed.", "debugInfo": {"type": "x", "message": "toomanyrequests: no"}},
         "registry-rate-limit"),
        ({"code": "UserError", "message": '{"error": {"code": "MissingSubscriptionRegistration", "message": "x"}}'},
         "provider-unregistered"),
    ],
)  # fmt: skip
def test_a_cause_is_recognised_at_any_level_of_a_failure(error: object, expected: str) -> None:
    details = details_of({"status": "Failed", "error": error})

    cause = cause_of(FailedJob(details.error, details.error_code, further=details.error_details))

    assert cause.name == expected


# What is not known


@pytest.mark.parametrize("code", ["UserError", "", "SomethingElse", "CommonRuntimeError"])
def test_what_nobody_knows_claims_no_cause(code: str) -> None:
    cause = cause_of(FailedJob("The moon is in the wrong phase.", code))

    assert (cause.name, cause.what) == ("unknown", "")
    assert cause.hint.startswith("The operator does not recognize this failure. Follow Azure's message above")


@pytest.mark.parametrize(
    "line",
    [
        "ValueError: the identity is not set",
        "KeyError: 'subscription is disabled'",
        "AssertionError: policy violation in the reward function",
        "RuntimeError: please remove the lock file and try again",
        "ValueError: private endpoint denied",
        "TimeoutError: another operation is in progress",
    ],
)
def test_the_words_of_a_users_code_are_no_refusal_of_azure(line: str) -> None:
    cause = cause_of(FailedJob(ENDED.format(1), "UserError", reported=line))

    assert cause.name == "user-error"
    assert re.fullmatch(re.escape(line), cause.what)
