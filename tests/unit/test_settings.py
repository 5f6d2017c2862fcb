"""What users may write in a step's settings, and what that asks of Azure ML."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zenml_azureml import AzureMLStepOperatorSettings
from zenml_azureml.exceptions import AzureMLSettingsError
from zenml_azureml.settings.aliases import ALIASES
from zenml_azureml.settings.compute import AzureMLComputeMode
from zenml_azureml.settings.merge import merge
from zenml_azureml.settings.models import AzureMLJobService
from zenml_azureml.settings.modes import IGNORED_BY_MODE
from zenml_azureml.settings.plan import resolve
from zenml_azureml.specs.compute import (
    ComputeCluster,
    ComputeIdentity,
    ComputeInstance,
    ComputeSchedule,
    ExistingCompute,
    Serverless,
)
from zenml_azureml.specs.job import JobDistribution, JobIdentity, JobOptions, JobService


def test_serverless_is_the_default() -> None:
    assert resolve(AzureMLStepOperatorSettings()).compute == Serverless()


def test_the_documented_example_asks_for_its_instance_and_its_size() -> None:
    settings = AzureMLStepOperatorSettings(
        mode="compute-instance",
        compute_name="MyComputeInstance",
        compute_size="Standard_NC8as_T4_v3",
    )

    resolution = resolve(settings)

    assert resolution.compute == ComputeInstance(name="MyComputeInstance", size="Standard_NC8as_T4_v3")
    assert resolution.warnings == ()


def test_every_setting_of_a_cluster_reaches_the_request() -> None:
    resolution = resolve(
        AzureMLStepOperatorSettings(
            mode=AzureMLComputeMode.COMPUTE_CLUSTER,
            compute_name="gpus",
            size="Standard_NC8as_T4_v3",
            location="westeurope",
            min_instances=1,
            max_instances=8,
            idle_time_before_scaledown_down=600,
            tier="low_priority",
            shm_size="4g",
        )
    )

    assert resolution.compute == ComputeCluster(
        name="gpus",
        size="Standard_NC8as_T4_v3",
        location="westeurope",
        min_instances=1,
        max_instances=8,
        idle_time_before_scale_down=timedelta(minutes=10),
        tier="low_priority",
    )
    assert resolution.options.shm_size == "4g"
    assert resolution.warnings == ()


def test_the_documented_idle_time_is_in_minutes() -> None:
    settings = AzureMLStepOperatorSettings(
        mode=AzureMLComputeMode.COMPUTE_INSTANCE, compute_name="notebook", idle_type_before_shutdown_minutes=90
    )

    assert resolve(settings).compute == ComputeInstance("notebook", idle_time_before_shutdown=timedelta(hours=1.5))


def test_a_compute_target_name_uses_what_exists_under_it() -> None:
    assert resolve(AzureMLStepOperatorSettings(compute_target_name="shared")).compute == ExistingCompute("shared")


ARM_ID = "subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"compute_sise": "x"}, "there is no `compute_sise`. Did you mean `compute_size`?"),
        ({"moed": "serverless"}, "there is no `moed`. Did you mean `mode`?"),
        (
            {"mode": "cluster"},
            "`mode='cluster'`: input should be 'serverless', 'compute-instance' or 'compute-cluster'",
        ),
        ({"mode": "compute-cluster"}, "`mode='compute-cluster'` needs a `compute_name`"),
        ({"size": "a", "compute_size": "b"}, "are two names of one setting with different values"),
        ({"mode": "compute-cluster", "compute_name": "cluster", "max_instances": 0}, "`max_instances=0`"),
        ({"mode": "compute-cluster", "compute_name": "my cluster"}, "at least two letters, digits, hyphens"),
        ({"compute_target_name": f"/{ARM_ID}/computes/gpus"}, "write the name alone: `gpus`"),
        ({"compute_target_name": f"azureml:/{ARM_ID}/computes/gpus"}, "write the name alone: `gpus`"),
        ({"mode": "compute-instance", "compute_name": f"{ARM_ID}/Computes/mine"}, "write the name alone: `mine`"),
        ({"shm_size": "2 gigabytes"}, "`shm_size='2 gigabytes'`"),
        ({"mode": "compute-cluster", "compute_name": "cluster", "tier": "cheap"}, "'dedicated' or 'low_priority'"),
        ({"job_tier": "free"}, "`job_tier='free'`: input should be 'spot', 'basic', 'standard' or 'premium'"),
        ({"services": {"tb": {"type": "tensorboard"}}}, "`services.tb.type='tensorboard'`"),
        ({"arm_endpoint": "http://arm.example"}, "`arm_endpoint='http://arm.example'`"),
        ({"distribution": "horovod"}, "`distribution.type='horovod'`: input should be 'pytorch', 'mpi', 'tensorflow'"),
        (
            {"distribution": {"type": "ray", "process_count_per_instance": 2}},
            "`process_count_per_instance` belongs to the type 'pytorch' or 'mpi', not to 'ray'",
        ),
    ],
)
def test_an_invalid_setting_is_an_error_with_a_correction(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(AzureMLSettingsError) as raised:
        AzureMLStepOperatorSettings(**settings)

    assert message in str(raised.value)


def test_a_setting_that_resembles_nothing_is_answered_with_the_list_of_all() -> None:
    with pytest.raises(AzureMLSettingsError, match=r"there is no `zzz`\. Settings: .*compute_name.*tier"):
        AzureMLStepOperatorSettings(zzz=1)


#: A value for each setting that some mode ignores.
ONE_OF_EACH: dict[str, Any] = {
    "compute_name": "name",
    "size": "Standard_DS3_v2",
    "idle_time_before_shutdown_minutes": 5,
    "idle_time_before_scaledown_down": 5,
    "location": "westeurope",
    "min_instances": 1,
    "max_instances": 2,
    "tier": "dedicated",
    "compute_target_name": "other",
    "instance_type": "Standard_DS3_v2",
    "instance_count": 2,
    "job_tier": "spot",
    "priority": "low",
    "locations": ["westeurope"],
    "ssh_public_key": "ssh-ed25519 AAAA",
    "ssh_admin_username": "me",
    "vnet_name": "vnet",
    "subnet": "subnet",
    "compute_identity": "system_assigned",
    "schedules": [{"action": "stop", "cron": "0 18 * * 1-5"}],
    "start_stopped_instance": False,
    "delete_compute_after": True,
}


@pytest.mark.parametrize("mode", list(AzureMLComputeMode))
def test_a_setting_that_the_mode_ignores_is_named_with_the_mode_it_belongs_to(mode: AzureMLComputeMode) -> None:
    every = resolve(AzureMLStepOperatorSettings(mode=mode, **ONE_OF_EACH)).warnings
    warnings = [warning for warning in every if " is ignored: " in warning]

    named = {name for name in ONE_OF_EACH for warning in warnings if warning.startswith(f"`{name}`")}
    assert named == IGNORED_BY_MODE[mode]
    assert len(warnings) == len(named)
    for warning in warnings:
        assert str(mode) in warning


def test_a_value_that_means_nothing_on_serverless_compute_is_reported() -> None:
    # Source: Microsoft, "Model training on serverless compute": only `standard` and `spot`; the rest is of virtual
    # clusters.
    (about_priority,) = resolve(AzureMLStepOperatorSettings(priority="high", job_tier="spot")).warnings
    (about_tier,) = resolve(AzureMLStepOperatorSettings(job_tier="premium")).warnings

    assert about_priority.startswith("`priority` has no effect: ")
    assert about_tier.startswith("`job_tier='premium'`: Azure ML's serverless compute has the tiers `standard` and")
    assert resolve(AzureMLStepOperatorSettings(job_tier="standard")).warnings == ()


def test_every_mode_uses_what_it_does_not_ignore() -> None:
    # A setting that no mode used would be one that is dropped in silence.
    for name in ONE_OF_EACH:
        if name != "compute_target_name":
            assert any(name not in ignored for ignored in IGNORED_BY_MODE.values()), name


def test_serverless_points_from_a_size_to_the_instance_type() -> None:
    (warning,) = resolve(AzureMLStepOperatorSettings(compute_size="Standard_DS3_v2")).warnings

    assert warning == (
        "`size` (or `compute_size`) is ignored: the mode is `serverless`, whose VM size is `instance_type`."
    )


def test_a_warning_also_names_the_spelling_that_the_user_may_have_used() -> None:
    (warning,) = resolve(AzureMLStepOperatorSettings(idle_type_before_shutdown_minutes=5)).warnings

    assert "`idle_type_before_shutdown_minutes`" in warning
    assert "mode='compute-instance'" in warning


def test_only_what_was_set_is_stored() -> None:
    settings = AzureMLStepOperatorSettings(compute_size="Standard_DS3_v2")

    assert settings.model_dump() == {"size": "Standard_DS3_v2"}
    assert AzureMLStepOperatorSettings(**settings.model_dump()) == settings


@given(st.sampled_from(sorted(ALIASES)), st.integers(min_value=1, max_value=10**6))
def test_an_alias_means_the_same_as_the_name_it_stands_for(alias: str, number: int) -> None:
    value = str(number) if alias == "compute_size" else number

    by_alias = AzureMLStepOperatorSettings(**{alias: value})
    by_name = AzureMLStepOperatorSettings(**{ALIASES[alias]: value})

    assert by_alias.model_dump() == by_name.model_dump()
    assert resolve(by_alias) == resolve(by_name)


CLUSTER = {"mode": "compute-cluster", "compute_name": "shared", "size": "Standard_DS3_v2", "max_instances": 4}


def test_a_step_inherits_what_it_does_not_set() -> None:
    merged = merge(CLUSTER, {"shm_size": "2g", "max_instances": 8})

    assert resolve(merged).compute == ComputeCluster("shared", size="Standard_DS3_v2", max_instances=8)
    assert merged.shm_size == "2g"


def test_a_step_that_goes_serverless_is_not_told_about_the_operators_cluster() -> None:
    # ZenML's compiler puts the operator's values among those of the step.
    resolution = resolve(merge(CLUSTER, {**CLUSTER, "mode": "serverless"}))

    assert resolution.compute == Serverless()
    assert resolution.warnings == ()


def test_a_step_that_names_an_existing_compute_leaves_the_operators_mode() -> None:
    resolution = resolve(merge(CLUSTER, {**CLUSTER, "compute_target_name": "mine"}))

    assert resolution.compute == ExistingCompute("mine")
    assert resolution.warnings == ()


def test_what_a_step_itself_sets_in_vain_is_warned_about() -> None:
    resolution = resolve(merge(CLUSTER, {**CLUSTER, "idle_time_before_shutdown_minutes": 5}))

    assert [warning.split(" is ")[0] for warning in resolution.warnings] == [
        "`idle_time_before_shutdown_minutes` (or `idle_type_before_shutdown_minutes`)"
    ]


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"identity_client_id": "1234"}, "identity_client_id"),
        ({"identity_client_id": "1234", "identity": "user"}, "identity_client_id"),
        ({"mode": "compute-cluster", "compute_name": "gpus", "ssh_admin_username": "me"}, "ssh_admin_username"),
    ],
)
def test_a_setting_that_needs_another_one_says_so(settings: dict[str, Any], named: str) -> None:
    (warning,) = resolve(AzureMLStepOperatorSettings(**settings)).warnings

    assert warning.startswith(f"`{named}` is ignored: ")


def test_everything_a_job_can_carry_reaches_the_request() -> None:
    options = resolve(
        AzureMLStepOperatorSettings(
            display_name="Nightly",
            description="The nightly training",
            tags={"team": "vision"},
            experiment_name="nightly",
            timeout_minutes=90,
            shm_size="4g",
            docker_args="--ipc=host",
            environment_variables={"LEVEL": "3"},
            identity="managed",
            identity_client_id="1234",
            services={"look": AzureMLJobService(type="tensor_board", log_dir="outputs/tb")},
            instance_type="Standard_NC8as_T4_v3",
            instance_count=2,
            distribution={"type": "PyTorch", "process_count_per_instance": 4},
            job_tier="Spot",
            priority="High",
            locations=["westeurope", "northeurope"],
        )
    ).options

    assert options == JobOptions(
        display_name="Nightly",
        description="The nightly training",
        tags={"team": "vision"},
        experiment="nightly",
        timeout=timedelta(minutes=90),
        shm_size="4g",
        docker_args="--ipc=host",
        environment_variables={"LEVEL": "3"},
        identity=JobIdentity("managed", "1234"),
        services=(JobService("look", "tensor_board", log_dir="outputs/tb"),),
        instance_type="Standard_NC8as_T4_v3",
        instance_count=2,
        distribution=JobDistribution("pytorch", process_count_per_instance=4),
        job_tier="spot",
        priority="high",
        locations=("westeurope", "northeurope"),
        stop_check_seconds=60,  # the default
        sampling=True,  # the default
        checkpoints=True,  # spot capacity is taken away
    )


def test_everything_a_new_instance_can_have_reaches_the_request() -> None:
    settings = AzureMLStepOperatorSettings(
        mode=AzureMLComputeMode.COMPUTE_INSTANCE,
        compute_name="notebook",
        ssh_public_key="ssh-ed25519 AAAA",
        vnet_name="vnet",
        subnet="subnet",
        compute_identity=["/subscriptions/s/identities/i"],
        schedules=[{"action": "stop", "cron": "0 18 * * 1-5", "time_zone": "UTC"}],
        start_stopped_instance=False,
    )

    assert resolve(settings).compute == ComputeInstance(
        "notebook",
        ssh_public_key="ssh-ed25519 AAAA",
        vnet_name="vnet",
        subnet="subnet",
        identity=ComputeIdentity(user_assigned=("/subscriptions/s/identities/i",)),
        schedules=(ComputeSchedule("stop", "0 18 * * 1-5", "UTC"),),
        start_if_stopped=False,
    )
    assert resolve(settings).warnings == ()


def test_a_value_that_is_a_reference_to_a_secret_is_not_held_against_the_rules() -> None:
    settings = AzureMLStepOperatorSettings(mode=AzureMLComputeMode.COMPUTE_CLUSTER, compute_name="{{azure.cluster}}")

    assert settings.model_dump()["compute_name"] == "{{azure.cluster}}"


def test_a_secret_in_the_environment_is_in_no_repr_and_no_error() -> None:
    settings = AzureMLStepOperatorSettings(environment_variables={"TOKEN": "hunter2"})
    with pytest.raises(AzureMLSettingsError) as raised:
        AzureMLStepOperatorSettings(environment_variables={"TOKEN": 4711})

    assert "hunter2" not in repr(settings)
    assert "hunter2" not in repr(resolve(settings).options)
    assert "`environment_variables.TOKEN`" in str(raised.value)
    assert "4711" not in str(raised.value)
