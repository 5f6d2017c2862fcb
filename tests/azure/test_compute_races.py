"""Many who ask for one missing compute at the same moment: one is created, and all of them have it."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from tests.azure import ask_for_cluster
from tests.azure.compute_scenarios import CLUSTER
from tests.azure.compute_world import ObservedTransport, World, cluster
from tests.contract.arm import Arm
from tests.e2e import warm
from tests.e2e.conftest import azure_variables, zenml_variables
from zenml_azureml.azure.compute.provisioner import ComputeTarget, ensure_compute
from zenml_azureml.emulator import Emulator
from zenml_azureml.emulator.clock import SystemClock
from zenml_azureml.emulator.context import Settings
from zenml_azureml.emulator.runtimes.simulated.runtime import SimulatedRuntime
from zenml_azureml.specs.compute import ComputeCluster, ComputeSpec

THREADS = 64
PROCESSES = 8


def test_threads_that_need_one_cluster_share_one_creation(world: World) -> None:
    world.provisioning_takes(30)

    targets = ask_at_once(world, [CLUSTER] * THREADS)

    assert {target.name for target in targets} == {"cpu"}
    assert len({target.created_on for target in targets}) == 1
    assert [target.created for target in targets].count(True) == 1
    assert world.sent.count("PUT compute") == 1


def test_threads_that_ask_for_different_clusters_of_one_name_change_nothing(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    requests = [ComputeCluster("cpu", size="Standard_DS3_v2", max_instances=1 + i % 4) for i in range(THREADS)]

    targets = ask_at_once(world, requests)

    (first,) = (target for target in targets if target.created)
    assert {target.max_nodes for target in targets} == {first.max_nodes}
    assert world.sent.count("PUT compute") == 1
    assert "`max_instances`: the step asks for" in caplog.text


def test_threads_with_a_connection_each_create_one_cluster(world: World) -> None:
    world.provisioning_takes(3)
    transports = [ObservedTransport(world.sleep) for _ in range(8)]
    together = Barrier(len(transports))

    def ask(transport: ObservedTransport) -> ComputeTarget:
        connection = world.connect(transport)
        together.wait()
        return ensure_compute(connection, CLUSTER, clock=world.clock.monotonic, sleep=world.sleep)

    with ThreadPoolExecutor(len(transports)) as pool:
        targets = list(pool.map(ask, transports))

    assert [target.created for target in targets].count(True) == 1
    assert sum(transport.sent.count("PUT compute") for transport in transports) == 1


def test_a_put_that_azure_accepts_for_an_existing_cluster_changes_nothing(world: World) -> None:
    before: list[Any] = []

    def others() -> None:
        world.others_create("cpu", cluster())
        world.sleep(0)
        before.append(settings_of(world.arm))

    world.while_our_look_is_on_its_way(CLUSTER, others)

    assert world.sent.count("PUT compute") == 1
    assert settings_of(world.arm) == before[0]


def test_processes_that_ask_for_one_cluster_create_it_once(tmp_path: Path) -> None:
    clock, settings = SystemClock(), Settings(compute_provisioning=2)
    runtime = SimulatedRuntime(clock, settings)
    homes = [tmp_path / f"user{i}" for i in range(PROCESSES)]
    with Emulator(tmp_path / "emulator", runtime=runtime, clock=clock, settings=settings) as emulator:
        programs = [program(emulator, home) for home in homes]
        assert [one.stdout.readline() for one in programs] == ["westeurope\n"] * PROCESSES

        for home in homes:
            (home / "word").write_text("go")
        answers = [json.loads(one.communicate(timeout=60)[0].splitlines()[-1]) for one in programs]

        arm = Arm(emulator)
        served = arm.call("GET", f"{emulator.base_url}/_emulator/requests").body
        found = settings_of(arm)

    assert {answer["target"]["name"] for answer in answers} == {"cpu"}
    assert {answer["target"]["created_on"] for answer in answers} == {found["createdOn"]}
    assert [answer["target"]["created"] for answer in answers].count(True) == 1
    assert max(answer["puts"] for answer in answers) == 1
    # One PUT was accepted. Those that came after it were refused, and have changed nothing.
    puts = [request["status"] for request in served if request["method"] == "PUT"]
    assert sorted(puts) == [201] + [409] * (len(puts) - 1)
    assert found["properties"]["scaleSettings"]["maxNodeCount"] == 4
    assert found["provisioningState"] == "Succeeded"


def ask_at_once(world: World, requests: Sequence[ComputeSpec]) -> list[ComputeTarget]:
    """What a thread each gets that asks for one of these."""
    together = Barrier(len(requests))

    def ask(request: ComputeSpec) -> ComputeTarget:
        together.wait()
        return world.ensure(request)

    with ThreadPoolExecutor(len(requests)) as pool:
        return list(pool.map(ask, requests))


def settings_of(arm: Arm) -> dict[str, Any]:
    """What the cluster `cpu` is, but for when it was last changed."""
    properties: dict[str, Any] = arm.call("GET", "computes/cpu").body["properties"]
    return {key: value for key, value in properties.items() if key != "modifiedOn"}


def program(emulator: Emulator, home: Path) -> warm.WarmProcess:
    """A process that waits for the word, of a user with folders of their own."""
    (home / "tmp").mkdir(parents=True)
    os.mkfifo(home / "word")
    workspace = emulator.context.store.workspaces[0]
    environment = {**zenml_variables(home), **azure_variables(emulator), "TMPDIR": str(home / "tmp")}
    environment |= {"NO_PROXY": "127.0.0.1"}
    address = [workspace.subscription_id, workspace.resource_group, workspace.name]
    command = [ask_for_cluster.__file__, *address, str(home / "word")]
    return warm.WarmProcess(command, environment, home, apart=True)
