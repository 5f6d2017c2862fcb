"""What is done in each row of the tables in docs/compute.md, by its id."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from tests.azure.compute_world import World, attached, cluster, instance
from zenml_azureml.azure.compute.deletion import delete_compute
from zenml_azureml.azure.compute.provisioner import ComputeTarget
from zenml_azureml.specs.compute import ComputeCluster, ComputeInstance, ComputeSpec, ExistingCompute, Serverless

INSTANCE = ComputeInstance("inst", size="Standard_DS3_v2")
CLUSTER = ComputeCluster("cpu", size="Standard_DS3_v2", max_instances=2)

#: Of this family the emulator's subscription has no quota.
NO_QUOTA = "Standard_ND40rs_v2"

Prepare = Callable[[World], None]

SCENARIOS: dict[str, Callable[[World], ComputeTarget]] = {}
DELETIONS: dict[str, Callable[[World], bool]] = {}


def ask(row: str, request: ComputeSpec) -> Callable[[Prepare], Prepare]:
    """A row in which the compute is asked for once everything is as the function makes it."""

    def add(prepare: Prepare) -> Prepare:
        def scenario(world: World) -> ComputeTarget:
            prepare(world)
            return world.ensure(request)

        SCENARIOS[row] = scenario
        return prepare

    return add


def race(row: str, request: ComputeSpec = CLUSTER) -> Callable[[Prepare], Prepare]:
    """A row in which others do what the function does while our first look is on its way back."""

    def add(others: Prepare) -> Prepare:
        def scenario(world: World) -> ComputeTarget:
            if isinstance(request, ComputeInstance):
                an_instance_is_stopped(world)
            return world.while_our_look_is_on_its_way(request, lambda: others(world))

        SCENARIOS[row] = scenario
        return others

    return add


def deletion(row: str, request: ComputeSpec = CLUSTER) -> Callable[[Prepare], Prepare]:
    """A row of the second table: others do what the function does between the creation and the deletion."""

    def add(others: Prepare) -> Prepare:
        def scenario(world: World) -> bool:
            target = world.ensure(request)
            others(world)
            world.sent.clear()
            return delete_compute(world.connection, target, clock=world.clock.monotonic)

        DELETIONS[row] = scenario
        return others

    return add


@ask("serverless", Serverless())
@ask("instance-missing", INSTANCE)
@ask("cluster-missing", CLUSTER)
@ask("cluster-missing-with-location", replace(CLUSTER, location="westeurope"))
@ask("cluster-without-quota", replace(CLUSTER, size=NO_QUOTA))
@ask("cluster-refused", replace(CLUSTER, min_instances=3))
@ask("existing-missing", ExistingCompute("cpu"))
@deletion("delete-cluster")
@deletion("delete-instance", INSTANCE)
def nothing_happens(_world: World) -> None: ...


@ask("instance-running", INSTANCE)
@ask("existing-instance", ExistingCompute("inst"))
@ask("cluster-is-an-instance", replace(CLUSTER, name="inst"))
@ask(
    "instance-other-settings",
    ComputeInstance("inst", size="Standard_DS4_v2", idle_time_before_shutdown=timedelta(hours=1)),
)
def an_instance_runs(world: World) -> None:
    world.others_create("inst", instance(idleTimeBeforeShutdown="PT30M"))


@ask("instance-job-running", INSTANCE)
def an_instance_runs_a_job(world: World) -> None:
    an_instance_runs(world)
    world.say("inst", state="JobRunning")


@ask("instance-stopped", INSTANCE)
@ask("existing-stopped", ExistingCompute("inst"))
@ask("instance-stopped-to-stay", replace(INSTANCE, start_if_stopped=False))
def an_instance_is_stopped(world: World) -> None:
    an_instance_runs(world)
    world.others("stop", "inst")


@ask("instance-starting", INSTANCE)
def an_instance_is_starting(world: World) -> None:
    an_instance_is_stopped(world)
    world.provisioning_takes(1)
    world.others("start", "inst")


@ask("instance-stopping", INSTANCE)
def an_instance_is_stopping(world: World) -> None:
    an_instance_runs(world)
    world.provisioning_takes(1)
    world.others("stop", "inst")
    world.provisioning_takes(0)


@ask("instance-start-fails", INSTANCE)
def an_instance_cannot_be_started(world: World) -> None:
    an_instance_is_stopped(world)
    world.arm_fault(method="POST", path="/start", status=400, body=error("BadRequest", "No capacity"))


@ask("instance-being-created", INSTANCE)
def an_instance_is_being_created(world: World) -> None:
    world.provisioning_takes(1)
    an_instance_runs(world)


@ask("instance-being-deleted", INSTANCE)
@ask("existing-being-deleted", ExistingCompute("inst"))
def an_instance_is_being_deleted(world: World) -> None:
    an_instance_runs(world)
    world.provisioning_takes(1)
    world.others_delete("inst")
    world.provisioning_takes(0)


@ask("instance-creation-failed", INSTANCE)
def the_creation_of_an_instance_failed(world: World) -> None:
    # 100 vCPUs of the family: six instances of 16, and not a seventh.
    for index in range(6):
        world.others_create(f"other{index}", instance("Standard_DS5_v2"))
    world.others_create("inst", instance("Standard_DS5_v2"))


@ask("instance-unusable", INSTANCE)
def an_instance_is_unusable(world: World) -> None:
    an_instance_runs(world)
    world.say("inst", state="Unusable")


@ask("instance-in-unknown-state", INSTANCE)
def an_instance_is_in_a_state_of_later_times(world: World) -> None:
    an_instance_runs(world)
    world.say("inst", state="Hibernated")


@ask("cluster-ready", CLUSTER)
@ask("existing-cluster", ExistingCompute("cpu"))
@ask("instance-is-a-cluster", replace(INSTANCE, name="cpu"))
@ask(
    "cluster-other-settings",
    replace(CLUSTER, max_instances=8, idle_time_before_scale_down=timedelta(minutes=10), tier="low_priority"),
)
@race("cluster-race-accepted")
def a_cluster_is_created(world: World) -> None:
    world.others_create("cpu", cluster())


@ask("cluster-being-created", CLUSTER)
def a_cluster_is_being_created(world: World) -> None:
    world.provisioning_takes(1)
    a_cluster_is_created(world)


@ask("cluster-being-changed", CLUSTER)
def a_cluster_is_being_changed(world: World) -> None:
    a_cluster_is_created(world)
    world.provisioning_takes(1)
    world.others_change("cpu", {"maxNodeCount": 2, "minNodeCount": 1})


@ask("cluster-being-deleted", CLUSTER)
def a_cluster_is_being_deleted(world: World) -> None:
    a_cluster_is_created(world)
    world.provisioning_takes(1)
    world.others_delete("cpu")
    world.provisioning_takes(0)


@ask("cluster-creation-failed", CLUSTER)
def the_creation_of_a_cluster_failed(world: World) -> None:
    world.others_create("cpu", cluster(NO_QUOTA))


@ask("cluster-not-permitted", CLUSTER)
def creating_is_not_permitted(world: World) -> None:
    world.arm_fault(method="PUT", path="/computes/", status=403, body=error("AuthorizationFailed", "Not you."))


@ask("cluster-answer-lost", CLUSTER)
def the_answer_to_a_creation_gets_lost(world: World) -> None:
    world.provisioning_takes(1)
    world.arm_fault(method="PUT", path="/computes/", reset=True, processed=True)


@race("cluster-race-refused")
def a_cluster_is_being_created_for_six_seconds(world: World) -> None:
    # Five of them pass until our look is back.
    world.provisioning_takes(6)
    a_cluster_is_created(world)


@race("cluster-race-other-kind")
def an_instance_of_that_name_is_created(world: World) -> None:
    world.others_create("cpu", instance())


@race("instance-started-meanwhile", INSTANCE)
def an_instance_is_started(world: World) -> None:
    world.others("start", "inst")


@race("instance-being-started-meanwhile", INSTANCE)
def an_instance_is_being_started_for_six_seconds(world: World) -> None:
    world.provisioning_takes(6)
    world.others("start", "inst")


@ask("cluster-is-attached", replace(CLUSTER, name="bricks"))
@ask("existing-databricks", ExistingCompute("bricks"))
def a_databricks_is_attached(world: World) -> None:
    world.have(attached("bricks", "Databricks", world.arm.workspace))


@ask("existing-kubernetes", ExistingCompute("aks"))
def a_kubernetes_is_attached(world: World) -> None:
    world.have(attached("aks", "Kubernetes", world.arm.workspace))


@deletion("delete-gone")
def somebody_deletes_it(world: World) -> None:
    world.others_delete("cpu")


@deletion("delete-replaced")
def somebody_replaces_it(world: World) -> None:
    world.others_delete("cpu")
    world.sleep(1)
    world.others_create("cpu", cluster())


@deletion("delete-busy")
def another_job_runs_on_it(world: World) -> None:
    world.compute("cpu").busy_nodes["another-job"] = 1


@deletion("delete-refused")
def deleting_is_refused(world: World) -> None:
    world.arm_fault(method="DELETE", status=403, body=error("AuthorizationFailed", "Not you."))


def delete_what_was_there(world: World) -> bool:
    """The step has not created what it runs on."""
    a_cluster_is_created(world)
    target = world.ensure(CLUSTER)
    world.sent.clear()
    return delete_compute(world.connection, target)


DELETIONS["delete-existing"] = delete_what_was_there


def error(code: str, message: str) -> dict[str, Any]:
    """The body of an answer of Azure's that is an error."""
    return {"error": {"code": code, "message": message}}
