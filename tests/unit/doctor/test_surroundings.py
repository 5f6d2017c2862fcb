"""`doctor`: computes, quota, artifact store, server, images. Each check fails here once, in exactly these words."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest

from zenml_azureml.azure.arm.models import InspectedCompute
from zenml_azureml.azure.connection import WorkspaceAddress
from zenml_azureml.azure.sizes.quota import FamilyQuota, Quota
from zenml_azureml.azure.sizes.vm_size import VmSize
from zenml_azureml.clouds import AZURE
from zenml_azureml.doctor.checks.architecture import ImageBuilder, check_architecture
from zenml_azureml.doctor.checks.artifact_store import ArtifactStore, check_artifact_store
from zenml_azureml.doctor.checks.compute import ConfiguredCompute
from zenml_azureml.doctor.checks.compute import check_compute as check_compute_of
from zenml_azureml.doctor.checks.quota import QuotaFacts, check_quota_left
from zenml_azureml.doctor.checks.server import Server, check_server
from zenml_azureml.doctor.result import Finding, Problem, Status

GPUS = InspectedCompute("gpus", "compute cluster", "STANDARD_NC8AS_T4_V3", "Steady", 0, 4, "", False, ("gpus-id",))
DEV = InspectedCompute("dev", "compute instance", "STANDARD_DS3_V2", "Stopped", None, None, "", False, ())
BROKEN = replace(GPUS, name="old", state="Failed", errors="The subnet is full.")
T4 = VmSize("Standard_NC8as_T4_v3", "Standard NCASv3_T4 Family", 8, 1, 56, True, ("AmlCompute",), 3.06, 0.6)
QUOTA = Quota(
    "westeurope",
    (
        FamilyQuota("TotalDedicatedCores", False, 100, 10),
        FamilyQuota("TotalLowPriorityCores", True, 50, 0),
        FamilyQuota("Standard NCASv3_T4 Family", False, 32, 28),
    ),
)
ADDRESS = WorkspaceAddress("sub", "rg", "ws", AZURE)
check_compute = partial(check_compute_of, address=ADDRESS)
HOW_TO_ASK = (
    "Ask for more quota at https://ml.azure.com/quota (how: "
    "https://learn.microsoft.com/azure/machine-learning/how-to-manage-quotas#request-quota-increases)"
)


def test_computes_and_what_steps_use_are_told() -> None:
    assert check_compute((GPUS, DEV), ConfiguredCompute("DEV")) == Finding(
        "compute",
        Status.OK,
        "`gpus` (STANDARD_NC8AS_T4_V3, 0 of 4 nodes, Steady), `dev` (STANDARD_DS3_V2, Stopped); steps use `dev`, which "
        "a step starts",
    )
    assert check_compute((), ConfiguredCompute()).found == (
        "No computes yet; steps use serverless compute unless their settings say otherwise"
    )
    assert check_compute((), ConfiguredCompute("gpus", "compute cluster", is_made=True)).found == (
        "No computes yet; `gpus` is created by the first step that uses it"
    )
    assert "and 2 more" in check_compute((GPUS,) * 6, ConfiguredCompute()).found


def test_a_compute_that_is_named_and_missing_fails() -> None:
    assert check_compute((DEV,), ConfiguredCompute("gone")) == Finding(
        "compute",
        Status.FAILED,
        "The workspace has no compute `gone`, which is the `compute_target_name` of the step operator.",
        "Create it, or correct the name: `zenml step-operator update NAME --compute_target_name=...`. To have it "
        "created, set `mode` and `compute_name` instead.",
    )


def test_a_compute_of_the_other_kind_fails() -> None:
    found = check_compute((GPUS,), ConfiguredCompute("gpus", "compute instance", is_made=True))

    assert (found.status, found.found) == (
        Status.FAILED,
        "`gpus` is a compute cluster, but the step operator's `mode` requires a compute instance of that name.",
    )


def test_a_compute_that_steps_use_and_that_is_broken_fails() -> None:
    assert check_compute((BROKEN,), ConfiguredCompute("old")) == Finding(
        "compute",
        Status.FAILED,
        "The compute cluster `old` (STANDARD_NC8AS_T4_V3, 0 of 4 nodes, Failed: The subnet is full.) cannot run jobs.",
        "Delete it in Azure ML Studio or with `az ml compute delete --name old --workspace-name ws --resource-group rg "
        "--subscription sub`; a step whose settings name it creates it again.",
    )


def test_another_one_that_is_broken_is_a_warning() -> None:
    found = check_compute((DEV, BROKEN), ConfiguredCompute("dev"))

    assert found.status is Status.WARNING
    assert found.found.startswith("Jobs cannot run on `old` (")


def test_quota_that_is_left_is_told() -> None:
    assert check_quota_left(QuotaFacts(QUOTA, (), ConfiguredCompute(), exists=False)) == Finding(
        "quota",
        Status.OK,
        "In use in westeurope: 10 of 100 dedicated vCPUs, 0 of 50 low-priority vCPUs; quota for 1 VM families "
        "(`zenml-azureml sizes`)",
    )


def test_quota_that_cannot_hold_the_configured_compute_fails() -> None:
    configured = ConfiguredCompute("gpus", "compute cluster", is_made=True, size="standard_nc8as_t4_v3")

    assert check_quota_left(QuotaFacts(QUOTA, (T4,), configured, exists=False)) == Finding(
        "quota",
        Status.FAILED,
        "The quota in `westeurope` is too small for 1 node of Standard_NC8as_T4_v3 (8 vCPU each): limit 32, used 28, "
        "needed 8 vCPU of Standard NCASv3_T4 Family.",
        f"{HOW_TO_ASK}; or choose another size: `zenml-azureml sizes`.",
    )
    assert check_quota_left(QuotaFacts(QUOTA, (T4,), configured, exists=True)).status is Status.OK


def test_a_size_that_the_region_does_not_offer_fails() -> None:
    configured = ConfiguredCompute("gpus", "compute cluster", is_made=True, size="Standard_NC6")

    assert check_quota_left(QuotaFacts(QUOTA, (T4,), configured, exists=False)) == Finding(
        "quota",
        Status.FAILED,
        "Azure ML offers no VM size `Standard_NC6` in `westeurope`, which the step operator's `size` names.",
        "To list the sizes: `zenml-azureml sizes`.",
    )


@pytest.mark.parametrize(
    ("limit", "used", "status", "found"),
    [
        (0, 0, Status.FAILED, "The subscription has no quota for dedicated nodes in `westeurope`."),
        (8, 8, Status.WARNING, "All 8 dedicated vCPUs of `westeurope` are in use: jobs that need new nodes wait."),
    ],
)
def test_a_region_without_room_is_told(limit: int, used: int, status: Status, found: str) -> None:
    quota = Quota("westeurope", (FamilyQuota("TotalDedicatedCores", False, limit, used),))

    assert check_quota_left(QuotaFacts(quota, (), ConfiguredCompute(), exists=False)) == Finding(
        "quota", status, found, f"{HOW_TO_ASK}."
    )


def test_an_artifact_store_on_this_machine_fails_unless_jobs_run_here() -> None:
    store = ArtifactStore("files", "/home/ada/files", is_local=True)

    assert check_artifact_store(store, jobs_run_here=True).status is Status.OK
    assert check_artifact_store(store, jobs_run_here=False) == Finding(
        "artifact store",
        Status.FAILED,
        "The artifact store `files` is on this machine (/home/ada/files), where jobs on Azure ML cannot read or "
        "write it.",
        "Use a remote one: `zenml artifact-store register NAME --flavor=azure --path=az://CONTAINER`, then `zenml "
        "stack "
        "update -a NAME`.",
    )


def test_an_artifact_store_that_cannot_be_read_fails() -> None:
    store = ArtifactStore("blobs", "az://train", is_local=False, problem="it does not exist.")

    assert check_artifact_store(store, jobs_run_here=False) == Finding(
        "artifact store",
        Status.FAILED,
        "The artifact store `blobs` (az://train) cannot be read: it does not exist.",
        "Check its path, the firewall of its storage account, and its credentials: its own, its service connector's, "
        "or those of the environment. The identity needs the role Storage Blob Data Contributor.",
    )
    not_installed = replace(store, problem="", cannot_load="No module named 'adlfs'")
    assert check_artifact_store(not_installed, jobs_run_here=False) == Finding(
        "artifact store",
        Status.UNKNOWN,
        "The artifact store `blobs` cannot be loaded on this machine: No module named 'adlfs'",
        "Install its packages, e.g. those of the extra `azure` of zenml-azureml.",
    )


HOW_TO_DEPLOY = (
    "Deploy a server that Azure reaches (https://docs.zenml.io/deploying-zenml), and log in to it: `zenml login URL`."
)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8237", "http://localhost:8237", "https://[::1]:8237"])
def test_a_server_on_this_machine_fails_unless_jobs_run_here(url: str) -> None:
    assert check_server(Server(url, is_database=False), jobs_run_here=True).status is Status.OK
    assert check_server(Server(url, is_database=False), jobs_run_here=False) == Finding(
        "ZenML server",
        Status.FAILED,
        f"The server's address is {url}, which in a job is the job's own machine.",
        HOW_TO_DEPLOY,
    )


def test_no_server_at_all_fails_unless_jobs_run_here() -> None:
    database = Server("sqlite:////home/ada/zenml.db", is_database=True)

    assert check_server(database, jobs_run_here=True).status is Status.OK
    assert check_server(database, jobs_run_here=False) == Finding(
        "ZenML server",
        Status.FAILED,
        "There is no server: ZenML uses a database on this machine, which jobs cannot reach.",
        HOW_TO_DEPLOY,
    )


@pytest.mark.parametrize(
    "url", ["http://10.0.0.4:8080", "http://192.168.1.2", "http://zenml", "https://z.corp.internal"]
)
def test_a_server_in_a_private_network_is_a_warning(url: str) -> None:
    found = check_server(Server(url, is_database=False), jobs_run_here=False)

    assert (found.status, found.found) == (
        Status.WARNING,
        f"{url} is an address in a private network: only computes in that network can reach it.",
    )


def test_a_server_with_a_public_address_is_well() -> None:
    assert check_server(Server("https://zenml.example.org", is_database=False), jobs_run_here=False) == Finding(
        "ZenML server", Status.OK, "https://zenml.example.org answers, and is not on this machine"
    )


def test_images_for_arm_fail() -> None:
    builder = ImageBuilder("builder", builds_here=True, architecture="arm64")

    assert check_architecture(builder, jobs_run_here=False) == Finding(
        "image architecture",
        Status.FAILED,
        "`builder` builds images for arm64, but Azure ML's machines are amd64: jobs would fail with `exec format "
        "error`.",
        "Build them for amd64, in the settings of the pipeline: "
        'DockerSettings(build_config={"build_options": {"platform": "linux/amd64"}}).',
    )
    asked_for = replace(builder, platform="linux/amd64")
    assert check_architecture(asked_for, jobs_run_here=False) == Finding(
        "image architecture",
        Status.OK,
        "`builder` builds for amd64; a pipeline's `DockerSettings` can change that",
    )


def test_what_the_latest_run_asked_for_goes_before_what_the_engine_is() -> None:
    on_arm = ImageBuilder("builder", builds_here=True, architecture="arm64", latest_run_platform="linux/amd64")
    on_amd = ImageBuilder("builder", builds_here=True, architecture="amd64", latest_run_platform="linux/arm64/v8")

    assert check_architecture(on_arm, jobs_run_here=False) == Finding(
        "image architecture",
        Status.OK,
        "`builder` builds for amd64, as set in the `DockerSettings` of the latest run on the stack",
    )
    wrong = check_architecture(on_amd, jobs_run_here=False)
    assert wrong.status is Status.FAILED
    assert wrong.found.startswith("`builder` builds images for arm64, as set in the `DockerSettings` of the ")


def test_a_stack_without_an_image_builder_fails() -> None:
    assert check_architecture(None, jobs_run_here=False) == Finding(
        "image architecture",
        Status.FAILED,
        "The stack has no image builder, and each step runs in an image.",
        "Add one: `zenml image-builder register NAME --flavor=local`, then `zenml stack update -i NAME`.",
    )


def test_a_machine_without_a_container_engine_is_a_warning() -> None:
    found = check_architecture(ImageBuilder("builder", True, no_engine="no daemon."), jobs_run_here=False)

    assert (found.status, found.found) == (
        Status.WARNING,
        "`builder` builds images on this machine, where no container engine answers: no daemon.",
    )
    elsewhere = check_architecture(ImageBuilder("kaniko", builds_here=False), jobs_run_here=False)
    assert elsewhere.status is Status.OK


def test_what_cannot_be_looked_at_is_neither_well_nor_failed() -> None:
    problem = Problem("Skipped: sign-in failed.")

    for found in (
        check_compute(problem, ConfiguredCompute()),
        check_quota_left(problem),
        check_artifact_store(problem, jobs_run_here=False),
        check_server(problem, jobs_run_here=False),
        check_architecture(problem, jobs_run_here=False),
    ):
        assert (found.status, found.found) == (Status.UNKNOWN, problem.what)
