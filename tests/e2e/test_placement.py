"""Where steps run and on which machines, from their settings through ZenML to the workspace."""

from __future__ import annotations

import json
import re

from zenml.config import ResourceSettings

from tests.e2e.conftest import Project
from tests.e2e.requests_of import requests_of
from zenml_azureml.emulator import Emulator

#: In a step's metadata: the price of a node, of all nodes, and what the step has cost.
COSTS = ["azureml_usd_per_hour_and_node", "azureml_usd_per_hour_all_nodes", "azureml_cost_usd"]


def test_resource_settings_choose_the_size_of_new_computes(simulated_project: Project, emulator: Emulator) -> None:
    output = simulated_project.succeed(
        """
        import json

        cluster = AzureMLStepOperatorSettings(mode="compute-cluster", compute_name="chosen")
        eight = {"step_operator": cluster, "resources": ResourceSettings(cpu_count=8, memory="24GB")}
        gpu = {"resources": ResourceSettings(gpu_count=1, gpu_class="T4")}

        @pipeline(enable_cache=False, settings=NO_BUILD)
        def sized():
            CommandStep(["true"], name="on_cluster", step_operator="azureml", settings=eight)()
            CommandStep(["true"], name="on_serverless", step_operator="azureml", settings=gpu)()
            CommandStep(["true"], name="anywhere", step_operator="azureml")()
            again = cluster.model_copy(update={"instance_count": 2})
            CommandStep(["true"], name="again", step_operator="azureml", settings={"step_operator": again})(
                    after="on_cluster"
                )

        if __name__ == "__main__":
            sized()
            for name, run in last_run().steps.items():
                print(name, {key: str(value) for key, value in run.run_metadata.items() if "url" not in key})
                print("COST", name, json.dumps({key: run.run_metadata.get(key) for key in COSTS}))
            print("RUN", last_run().id)
        """.replace("COSTS", str(COSTS))
    )

    # ZenML has `gpu_class` since 0.97; before, any GPU will do.
    gpu_size = "Standard_NC4as_T4_v3" if "gpu_class" in ResourceSettings.model_fields else "Standard_NV6ads_A10_v5"
    workspace = emulator.context.store.workspaces[0]
    assert workspace.computes["chosen"].inner["vmSize"] == "STANDARD_D8S_V3"
    serverless = next(job for job in workspace.jobs.values() if job.properties["tags"]["zenml_step"] == "on_serverless")
    assert serverless.properties["resources"]["instanceType"] == gpu_size
    # The choice and its price, in the log and in the metadata.
    assert "Chose Standard_D8s_v3 (8 vCPU, 32 GB), about 0." in output
    assert "on the compute cluster `chosen` (Standard_D8s_v3, about 0." in output
    assert f"'azureml_vm_size': '{gpu_size}'" in output
    assert f"on serverless compute ({gpu_size}, about 0." in output
    costs = {
        line.split()[1]: json.loads(line.split(maxsplit=2)[2]) for line in output.splitlines() if line[:5] == "COST "
    }
    assert costs["on_cluster"].keys() == set(COSTS)
    each, together, cost = costs["on_cluster"].values()
    assert each == together > 0
    assert cost >= 0
    # The cluster is there by now, and this step runs on two of its nodes.
    each_again, together_again, _ = costs["again"].values()
    assert (each_again, together_again) == (each, 2 * each)
    assert "on the compute cluster `chosen` (STANDARD_D8S_V3, about 0." in output
    assert f" USD per hour and node, {2 * each:.2f} for 2 nodes)" in output
    # Where Azure chooses the size, nobody knows.
    assert "on serverless compute (Azure chooses the size, price unknown): https://" in output
    assert list(costs["anywhere"].values()) == [None, "unknown", "unknown"]
    run = next(line.split()[1] for line in output.splitlines() if line.startswith("RUN "))
    listed = simulated_project.azureml("jobs", "list", "--run", run, "--all").stdout
    headings, *table, total = [re.split(r"\s{2,}", line) for line in listed.splitlines()]
    by_job = sorted(row[headings.index("USD")] for row in table)
    assert [by_job[-1], len(by_job)] == ["unknown", 4]
    assert all(float(usd) < 0.1 for usd in by_job[:-1])
    assert total[-1].endswith(" USD (4 jobs, without 1 whose price is unknown).")
    # Once per process and region, for all steps.
    asked = [request["path"].rpartition("/")[2] for request in requests_of(emulator)]
    assert asked.count("vmSizes") == 1
    assert asked.count("usages") == 1


def test_insufficient_quota_fails_the_step_before_anything_is_created(
    simulated_project: Project, emulator: Emulator
) -> None:
    code, output = simulated_project.run(
        """
        huge = AzureMLStepOperatorSettings(
            mode="compute-cluster", compute_name="huge", size="Standard_D64s_v3", instance_count=20, max_instances=20
        )

        @pipeline(enable_cache=False, settings=NO_BUILD)
        def greedy():
            CommandStep(["true"], name="huge", step_operator="azureml", settings={"step_operator": huge})()

        if __name__ == "__main__":
            greedy()
        """
    )

    assert code != 0
    assert "1280" in output  # 20 nodes of 64 cores
    assert "quota" in output
    assert "quota_check" in output
    assert [r for r in requests_of(emulator) if r["method"] == "PUT"] == []


def test_a_job_that_waits_too_long_for_its_compute_is_cancelled_with_the_reason(
    simulated_project: Project, emulator: Emulator
) -> None:
    emulator.context.settings.job_preparation = 3600
    code, output = simulated_project.run(
        """
        patient = AzureMLStepOperatorSettings(queue_timeout_minutes=0.05)

        @pipeline(enable_cache=False, settings=NO_BUILD)
        def queue():
            CommandStep(["true"], name="waits", step_operator="azureml", settings={"step_operator": patient})()

        if __name__ == "__main__":
            try:
                queue()
            finally:
                print("SERVER SAYS", last_run().steps["waits"].exception_info.message)
        """
    )

    assert code != 0
    assert "[waits] Starting on " in output
    assert "was cancelled: it was still queued after" in output
    assert "(state: Starting), and `queue_timeout_minutes` is 0.05" in output
    assert "`queue_timeout_minutes` is 0.05" in output.split("SERVER SAYS")[1]
    (job,) = emulator.context.store.workspaces[0].jobs.values()
    assert job.status == "Canceled"


def test_a_compute_made_for_a_step_can_be_deleted_after_it_and_no_other_is(
    simulated_project: Project, emulator: Emulator
) -> None:
    simulated_project.succeed(
        """
        def on(name, delete):
            settings = AzureMLStepOperatorSettings(
                mode="compute-cluster", compute_name=name, size="Standard_DS3_v2", delete_compute_after=delete
            )
            return {"step_operator": settings}

        @pipeline(enable_cache=False, settings=NO_BUILD)
        def tidy():
            for number, (name, delete) in enumerate((("kept", False), ("kept", True), ("gone", True))):
                CommandStep(["true"], name=f"step_{number}", step_operator="azureml", settings=on(name, delete))()

        if __name__ == "__main__":
            tidy()
        """
    )

    assert set(emulator.context.store.workspaces[0].computes) == {"kept"}


def test_all_properties_of_a_job_arrive(simulated_project: Project, emulator: Emulator) -> None:
    simulated_project.succeed(
        """
        everything = AzureMLStepOperatorSettings(
            display_name="Nightly", description="The nightly training", tags={"team": "vision"},
            experiment_name="nightly", timeout_minutes=90, shm_size="4g", docker_args="--ipc=host",
            environment_variables={"LEVEL": "3"}, identity="managed", identity_client_id="1234",
            services={"look": {"type": "tensor_board", "log_dir": "outputs/tb"}}, job_tier="Standard",
            priority="High", instance_type="Standard_DS3_v2", instance_count=2,
        )

        @pipeline(enable_cache=False, settings=NO_BUILD)
        def carried():
            CommandStep(["true"], name="all", step_operator="azureml", settings={"step_operator": everything})()

        if __name__ == "__main__":
            carried()
        """
    )

    (job,) = emulator.context.store.workspaces[0].jobs.values()
    sent = job.properties
    assert sent["displayName"] == "Nightly"
    assert sent["description"] == "The nightly training"
    assert sent["experimentName"] == "nightly"
    assert {"team": "vision", "zenml_step": "all", "zenml_pipeline": "carried"}.items() <= sent["tags"].items()
    assert sent["limits"]["timeout"] == "PT1H30M"
    assert sent["resources"]["shmSize"] == "4g"
    assert sent["resources"]["dockerArgs"] == "--ipc=host"
    assert sent["resources"]["instanceType"] == "Standard_DS3_v2"
    assert sent["resources"]["instanceCount"] == 2
    assert sent["environmentVariables"]["LEVEL"] == "3"
    assert sent["environmentVariables"]["AZURE_CLIENT_ID"] == "1234"
    assert sent["identity"] == {"identityType": "Managed", "clientId": "1234"}
    assert sent["services"]["look"]["jobServiceType"] == "TensorBoard"
    assert sent["queueSettings"] == {"jobTier": "Standard", "priority": 3}
