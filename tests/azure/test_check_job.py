"""Jobs that check themselves, as real processes: each check succeeds once, and fails once with what to do next."""

from __future__ import annotations

import signal
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from zenml.exceptions import RunInterruptedException

from tests.azure.check_jobs import BARE, BROKEN_CUDA, CUDA, FOREIGN, OURS, SERVERLESS, Desk, interpreters
from tests.conftest import point_clients_at
from tests.contract.arm import Arm
from zenml_azureml.clock import SYSTEM_TIME
from zenml_azureml.contract.checks import (
    ARTIFACT_STORE,
    CHECKPOINTS,
    GPUS,
    IMAGE,
    KEY_VAULT,
    NODES,
    SECRETS,
    SERVER,
)
from zenml_azureml.doctor.result import Status
from zenml_azureml.doctor.run_job.run import CheckRun
from zenml_azureml.emulator import Emulator
from zenml_azureml.emulator.context import Settings
from zenml_azureml.emulator.runtimes.process.runtime import ProcessRuntime
from zenml_azureml.exceptions import QueueTimeoutError
from zenml_azureml.lifecycle.stop_signals import SIGNALS, STOP_SIGNALS
from zenml_azureml.specs.compute import ComputeCluster
from zenml_azureml.specs.job import JobDistribution

#: A size with one GPU.
ONE_GPU = "Standard_NC24ads_A100_v4"

NOWHERE = "http://127.0.0.1:1"


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A workspace for all tests of this module."""
    folder = tmp_path_factory.mktemp("checks")
    settings = Settings(compute_provisioning=0, job_preparation=0, job_finalization=0)
    runtime = ProcessRuntime(interpreters(folder), grace=1)
    emulator = Emulator(folder / "emulator", runtime=runtime, settings=settings)
    with pytest.MonkeyPatch.context() as patch, emulator:
        point_clients_at(emulator, patch)
        yield Desk.at(emulator)


@contextmanager
def server(status: int) -> Iterator[str]:
    """A ZenML server that answers everything with a status; its address."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_arguments: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{listening.server_port}"
        finally:
            listening.shutdown()


def test_each_check_is_ok_in_a_job_that_has_what_it_needs(desk: Desk) -> None:
    with server(200) as url:
        found = desk.run({"ZENML_STORE_URL": url}, checkpoints=True, secrets_via="key-vault")

    # No artifact store is named here: see tests/e2e/test_doctor_job.py.
    assert [check for check, one in found.items() if one.status is not Status.OK] == [ARTIFACT_STORE]
    assert found[IMAGE].found.startswith("It starts on x86_64, with Python 3.")
    assert "returns the secrets to the job's identity" in found[KEY_VAULT].found
    assert found[SERVER].found == f"{url} answers, and accepts the job's token"
    assert found[NODES].found == "The job has one node"
    assert desk.secrets() == []
    assert [sentence.partition("`")[0] for sentence in desk.said] == ["Submitted the job "]


def test_an_image_of_another_architecture_fails_with_how_to_build_it(desk: Desk) -> None:
    found = desk.run(image=FOREIGN, secrets_via="environment")

    assert found[IMAGE].status is Status.FAILED
    assert "Exec format error" in found[IMAGE].found
    assert "linux/amd64" in found[IMAGE].hint
    unknown = [check for check, one in found.items() if one.status is Status.UNKNOWN]
    assert unknown == [SECRETS, SERVER, ARTIFACT_STORE, GPUS]


def test_a_bare_image_is_checked_as_far_as_that_needs_no_package(desk: Desk) -> None:
    with server(200) as url:
        found = desk.run({"ZENML_STORE_URL": url}, image=BARE, checkpoints=True, secrets_via="key-vault")

    assert {check: one.status for check, one in found.items()} == {
        IMAGE: Status.WARNING,
        KEY_VAULT: Status.UNKNOWN,
        SECRETS: Status.UNKNOWN,
        SERVER: Status.OK,
        ARTIFACT_STORE: Status.UNKNOWN,
        CHECKPOINTS: Status.OK,
        GPUS: Status.OK,
        NODES: Status.OK,
    }
    assert found[ARTIFACT_STORE].found == ("Not checked: zenml-azureml, or this version of it, is not in the image.")


def test_a_vault_that_the_job_cannot_read_fails_with_the_role(desk: Desk) -> None:
    desk.fail("^/msi/token", status=403, body={"error": {"code": "Forbidden", "message": "No such identity."}})

    found = desk.run(secrets_via="key-vault")

    assert found[KEY_VAULT].status is Status.FAILED
    assert "No such identity." in found[KEY_VAULT].found
    assert "Key Vault Secrets User" in found[KEY_VAULT].hint
    assert found[SECRETS].status is Status.UNKNOWN
    assert desk.secrets() == []


def test_secrets_in_the_definition_are_a_warning(desk: Desk) -> None:
    # Serverless compute has no identity that could read a vault.
    found = desk.run(image=BARE, compute=SERVERLESS)

    assert found[KEY_VAULT].status is Status.WARNING
    assert found[SECRETS].status is Status.OK


@pytest.mark.parametrize(
    ("image", "asks", "words"),
    [
        (OURS, {"secrets": ["HF_TOKEN"]}, "Missing in the environment: HF_TOKEN."),
        (BARE, {"digest": "0"}, "A secret has arrived with another value than was sent."),
    ],
)
def test_secrets_that_do_not_arrive_fail(image: str, asks: dict[str, Any], words: str, desk: Desk) -> None:
    found = desk.run(image=image, secrets_via="environment", asks=asks)

    assert (found[SECRETS].status, found[SECRETS].found) == (Status.FAILED, words)
    assert "docs/secrets.md" in found[SECRETS].hint
    assert found[KEY_VAULT].found == "Not used, because `secrets_via` is `environment`"


def test_a_server_that_does_not_answer_fails(desk: Desk) -> None:
    with server(503) as url:
        busy = desk.run({"ZENML_STORE_URL": url})
    nowhere = desk.run({"ZENML_STORE_URL": NOWHERE}, image=BARE)

    assert busy[SERVER].status is nowhere[SERVER].status is Status.FAILED
    assert busy[SERVER].found == f"{url}: it answered 503."
    assert NOWHERE in nowhere[SERVER].found
    assert "refused" in nowhere[SERVER].found
    assert "network" in nowhere[SERVER].hint


def test_a_server_that_refuses_the_jobs_token_fails(desk: Desk) -> None:
    with server(401) as url:
        found = desk.run({"ZENML_STORE_URL": url, "ZENML_STORE_API_TOKEN": "hush-hush"})

    assert found[SERVER].status is Status.FAILED
    assert found[SERVER].found == f"{url}: it answered 401."


def test_a_database_that_only_the_client_has_fails(desk: Desk) -> None:
    found = desk.run({"ZENML_STORE_URL": "sqlite:////nowhere/zenml.db"}, image=BARE)

    assert found[SERVER].status is Status.FAILED
    assert found[SERVER].found == "ZenML uses a database file, /nowhere/zenml.db, which the job cannot use."


def test_a_checkpoint_folder_that_cannot_be_written_fails(desk: Desk) -> None:
    elsewhere = {"AZURE_ML_OUTPUT_checkpoints": "/proc/checkpoints"}

    found = desk.run(environment_variables=elsewhere, image=BARE, checkpoints=True)

    assert found[CHECKPOINTS].status is Status.FAILED
    assert found[CHECKPOINTS].found.startswith("The folder /proc/checkpoints cannot be used: ")
    assert "storage account" in found[CHECKPOINTS].hint


def test_gpus_that_the_driver_does_not_show_fail(desk: Desk) -> None:
    found = desk.run(image=BROKEN_CUDA, compute=SERVERLESS, instance_type=ONE_GPU)

    assert found[GPUS].status is Status.FAILED
    assert found[GPUS].found.startswith(f"The driver shows 0 GPUs, and `{ONE_GPU}` has 1 (nvidia-smi: NVIDIA-SMI has")
    assert "docs/gpu.md" in found[GPUS].hint


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("cuda = type('', (), {'device_count': lambda: 0}); __version__ = '2.9+cpu'", "torch 2.9+cpu shows 0 of the 1"),
        (
            "raise OSError('libcudart.so.12: cannot open shared object file')",
            "torch cannot be imported: OSError: libcu",
        ),
    ],
)
def test_gpus_that_torch_does_not_show_fail(code: str, words: str, desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text(code)

    found = desk.run(
        image=CUDA,
        compute=SERVERLESS,
        instance_type=ONE_GPU,
        environment_variables={"PYTHONPATH": str(tmp_path)},
    )

    assert found[GPUS].status is Status.FAILED
    assert words in found[GPUS].found
    assert "torch" in found[GPUS].hint


@pytest.mark.parametrize(
    "distribution",
    [
        None,
        JobDistribution("pytorch", process_count_per_instance=2),
        JobDistribution("mpi", process_count_per_instance=2),
        JobDistribution("tensorflow", worker_count=3, parameter_server_count=1),
    ],
    ids=lambda kind: kind.type if kind else "none",
)
def test_the_nodes_of_a_job_reach_each_other(distribution: JobDistribution | None, desk: Desk) -> None:
    found = desk.run(image=CUDA, compute=SERVERLESS, instance_count=3, distribution=distribution)

    assert (found[NODES].status, found[NODES].found) == (Status.OK, "All 3 nodes reach the first one")
    assert (found[GPUS].status, found[GPUS].found) == (Status.OK, "The driver shows 1 on each node")


def test_a_node_that_is_not_reached_fails(desk: Desk) -> None:
    found = desk.run(
        image=BARE,
        compute=SERVERLESS,
        instance_count=2,
        distribution=JobDistribution("pytorch"),
        environment_variables={"MASTER_ADDR": "no-such-host.invalid"},
        wait=1.5,
    )

    assert found[NODES].status is Status.FAILED
    assert "Of 2 nodes, these did not connect to the first: 1." in found[NODES].found
    assert "Node 1 does not reach the first node at no-such-host.invalid:" in found[NODES].found
    assert "docs/nodes.md" in found[NODES].hint


def test_a_compute_that_was_created_for_the_job_is_deleted_as_the_settings_say(desk: Desk) -> None:
    planned = replace(
        desk.planned(image=BARE, compute=ComputeCluster("short-lived", size="Standard_DS3_v2")),
        delete_compute_after=True,
    )
    assert "the job creates it, and `doctor` deletes it afterwards" in planned.announcement()

    desk.findings_of(planned)

    computes = Arm(desk.emulator).call("GET", "computes", api_version="2024-04-01").body["value"]
    assert [compute["name"] for compute in computes] == ["gpus"]


def test_the_price_and_the_longest_time_are_named_before(desk: Desk) -> None:
    words = desk.planned(compute=SERVERLESS, instance_type="Standard_DS3_v2", instance_count=2).announcement()

    assert words == (
        "This submits one job with the image `example.azurecr.io/train:1` to serverless compute (Standard_DS3_v2, "
        "about 0.29 USD per hour and node, 0.58 for 2 nodes). It runs for a few minutes, and Azure ML ends it after "
        "15, so at most 0.15 USD."
    )
    assert "price unknown" in desk.planned(compute=SERVERLESS).announcement()


@pytest.mark.parametrize("signals", [1, 2])
def test_a_signal_at_any_moment_cancels_the_job_or_says_how(signals: int, desk: Desk) -> None:
    planned = desk.planned(image=BARE, secrets_via="key-vault")
    said: list[str] = []

    def interrupted(sentence: str) -> None:
        said.append(sentence)
        if len(said) <= signals:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        CheckRun(desk.workspace, planned, SYSTEM_TIME, interrupted).run()

    name = planned.spec.name
    if signals == 1:
        assert said[-1].startswith(f"The job `{name}` has ended: ")
    else:
        assert f"az ml job cancel --name {name}" in said[-1]
    assert desk.secrets() == []


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_signal_whose_exception_python_drops_cancels_the_job(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk.emulator.context.settings, "job_preparation", 3600)
    planned = desk.planned(image=BARE)
    handlers = [(number, signal.getsignal(number)) for number in SIGNALS]
    said: list[str] = []

    def interrupted(sentence: str) -> None:
        said.append(sentence)
        if len(said) == 1:
            weakref.finalize(Desk(desk.emulator, desk.workspace), signal.raise_signal, signal.SIGINT)

    STOP_SIGNALS.notice()
    try:
        with pytest.raises(RunInterruptedException):
            CheckRun(desk.workspace, planned, SYSTEM_TIME, interrupted).run()
    finally:
        for number, handler in handlers:
            signal.signal(number, handler)

    assert said[-1] == f"The job `{planned.spec.name}` has ended: Canceled."


def test_a_job_that_is_queued_for_longer_than_the_settings_allow_is_cancelled(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk.emulator.context.settings, "job_preparation", 3600)
    planned = replace(desk.planned(image=BARE), queue_timeout=timedelta(seconds=10))

    with pytest.raises(QueueTimeoutError):
        desk.findings_of(planned)

    assert desk.said[-1] == f"The job `{planned.spec.name}` has ended: Canceled."
