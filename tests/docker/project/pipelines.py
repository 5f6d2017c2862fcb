"""A user's pipelines. Every step says what it finds in its container."""

from __future__ import annotations

import os
import sys
import time
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import psutil
from zenml import CommandStep, pipeline, step
from zenml.client import Client
from zenml.config import DockerSettings, ResourceSettings
from zenml.config.retry_config import StepRetryConfig

ON_HOST = {"build_options": {"network_mode": "host"}}
DOCKER = DockerSettings(parent_image=os.environ.get("PARENT_IMAGE"), build_config=ON_HOST)
OWN_IMAGE = DockerSettings(
    parent_image=os.environ.get("PARENT_IMAGE"),
    build_config=ON_HOST,
    requirements=["only-in-its-own-image==1.0"],
    environment={"OWN_VARIABLE": "yes"},
)


def found() -> dict[str, Any]:
    """What a step finds in its container."""
    began = time.time()
    modules = modules_of_azure_ai_ml()
    return {
        "seconds_to_first_line": began - psutil.Process(1).create_time(),
        "modules_at_first_line": modules,
        "in_container": Path("/.dockerenv").exists(),
        "operator": type(Client().active_stack.step_operator).__module__,
        "modules_of_azure_ai_ml": modules_of_azure_ai_ml(),  # now that the operator is loaded
        "zenml_azureml": installed("zenml-azureml"),
        "only_in_its_own_image": installed("only-in-its-own-image"),
        "own_variable": os.environ.get("OWN_VARIABLE"),
        "gpus": [device.name for device in Path("/dev").glob("nvidia*")],
    }


def modules_of_azure_ai_ml() -> list[str]:
    return [name for name in sys.modules if name.startswith("azure.ai.ml")]


def installed(name: str) -> tuple[str, str | None] | None:
    """A distribution's version, and whence pip had it where that is no index."""
    try:
        found = distribution(name)
    except PackageNotFoundError:
        return None
    return found.version, found.read_text("direct_url.json")


@step
def load() -> list[int]:
    return [1, 2, 3]


@step(step_operator="azureml")
def train(numbers: list[int]) -> dict[str, Any]:
    facts = found()
    print(f"trained on {len(numbers)} numbers")
    return {**facts, "sum": sum(numbers)}


@step
def report(facts: dict[str, Any]) -> int:
    print("the sum is", facts["sum"])
    return int(facts["sum"])


@pipeline(enable_cache=False, settings={"docker": DOCKER})
def static() -> None:
    report(train(load()))


@pipeline(enable_cache=False, settings={"docker": DOCKER})
def single() -> None:
    train([1])


@step(step_operator="azureml")
def square(number: int) -> int:
    print("squaring", number)
    return number * number


@step
def numbers(count: int) -> list[int]:
    return list(range(count))


@step
def total(squares: list[int]) -> int:
    return sum(squares)


@pipeline(dynamic=True, enable_cache=False, settings={"docker": DOCKER}, depends_on=[square])
def mapped() -> None:
    total(square.map(numbers(6)))


@pipeline(dynamic=True, enable_cache=False, settings={"docker": DOCKER}, depends_on=[square])
def mapped_to_20() -> None:
    total(square.map(numbers(20)))


@pipeline(enable_cache=False, settings={"docker": DOCKER})
def commands() -> None:
    CommandStep(["sh", "-c", "echo said by $0 in $PWD", "a command"], name="command", step_operator="azureml")()


@step(step_operator="azureml", settings={"docker": OWN_IMAGE})
def special() -> dict[str, Any]:
    return found()


@pipeline(enable_cache=False, settings={"docker": DOCKER})
def own_image() -> None:
    train([4, 5])
    special()


@pipeline(dynamic=True, enable_cache=False, settings={"docker": DOCKER}, depends_on=[train, special])
def dynamic_own_image() -> None:
    train([4, 5])
    special()


ON_A_GPU: dict[str, Any] = {
    "resources": ResourceSettings(gpu_count=1),
    "step_operator": {"outputs": {"model": {"register_as": "weights"}}},
}


@step(step_operator="azureml", settings=ON_A_GPU)
def on_a_gpu() -> dict[str, Any]:
    from zenml_azureml import output_path

    (output_path("model") / "weights.txt").write_text("1 2 3")
    return found()


@pipeline(enable_cache=False, settings={"docker": DOCKER})
def gpu() -> None:
    on_a_gpu()


@step(step_operator="azureml")
def failing() -> None:
    print("about to fail")
    raise ValueError("The learning rate is negative.")


@pipeline(enable_cache=False, settings={"docker": DOCKER})
def fails() -> None:
    failing()


HELD: dict[str, Any] = {
    "inputs": {"rate": "azureml:rates@latest"},
    "hold_on_failure_minutes": 20,
    "services": {"code": {"type": "vs_code"}},
}


@step(step_operator="azureml", settings={"step_operator": HELD})
def looked_into() -> None:
    from zenml_azureml import input_path

    print("about to fail")
    raise ValueError(f"The learning rate is {input_path('rate').read_text()}.")


@pipeline(enable_cache=False, settings={"docker": DOCKER})
def fails_and_is_held() -> None:
    looked_into()


@step(step_operator="azureml")
def endless() -> None:
    print("ready", flush=True)
    time.sleep(3600)


@pipeline(enable_cache=False, settings={"docker": DOCKER})
def cancelled() -> None:
    endless()


LIMITED: dict[str, Any] = {"instance_type": "Standard_DS3_v2", "max_usd": 0.29}


@pipeline(enable_cache=False, settings={"docker": DOCKER})
def at_its_limit() -> None:
    endless.with_options(settings={"step_operator": LIMITED})()


def _restarted(name: str) -> str:
    """A variable of the orchestrator's container, which leads to the emulator as it does here."""
    return os.environ.get(name, "")


def restarted(times: int) -> dict[str, Any]:
    """As Kubernetes restarts a pod: each step has a container, which is started again if its process dies."""
    run_args = {
        "network_mode": "host",
        "restart_policy": {"Name": "on-failure", "MaximumRetryCount": times},
        "volumes": {_restarted("REQUESTS_CA_BUNDLE"): {"bind": "/ca.pem", "mode": "ro"}},
        "environment": {
            "REQUESTS_CA_BUNDLE": "/ca.pem",
            **{
                name: _restarted(name)
                for name in ("AZUREML_DEV_URL_MFE", "AZURE_AUTHORITY_HOST", "HTTPS_PROXY", "https_proxy", "no_proxy")
            },
        },
    }
    return {"docker": DOCKER, "orchestrator": {"run_args": run_args}}


@pipeline(enable_cache=False, settings=restarted(3))
def restarted_with_retries() -> None:
    sleeper = CommandStep(
        ["sh", "-c", "echo ready; exec sleep 3600"],
        name="sleeper",
        step_operator="azureml",
        retry=StepRetryConfig(max_retries=2),
    )
    sleeper()


@pipeline(enable_cache=False, settings=restarted(3))
def restarted_without_retries() -> None:
    sleeper = CommandStep(
        ["sh", "-c", "echo ready; exec sleep 3600"],
        name="sleeper",
        step_operator="azureml",
        settings={"step_operator": {"stop_check_seconds": 0}},  # it does not end by itself
    )
    sleeper()


@step(
    step_operator="azureml",
    retry=StepRetryConfig(max_retries=2),
    settings={"step_operator": {"stop_check_seconds": 1}},
)
def watched() -> None:
    print("ready", flush=True)
    time.sleep(3600)


@pipeline(enable_cache=False, settings=restarted(1))
def interrupted() -> None:
    watched()
