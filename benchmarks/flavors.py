"""Step operators to compare with: ZenML's built-in one, and one that does nothing."""

from __future__ import annotations

import importlib.util
from types import ModuleType
from typing import Any

from zenml.config.build_configuration import BuildConfiguration
from zenml.enums import ExecutionStatus
from zenml.integrations.azure.flavors import azureml_step_operator_flavor as _replaced
from zenml.integrations.azure.step_operators import azureml_step_operator as _operator
from zenml.step_operators import BaseStepOperator
from zenml.step_operators.base_step_operator import BaseStepOperatorConfig, BaseStepOperatorFlavor


def _as_zenml_ships_it() -> ModuleType:
    """The built-in flavor's module, in which this package has replaced nothing."""
    spec = importlib.util.spec_from_file_location("benchmarks.built_in_flavor", str(_replaced.__file__))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_built_in = _as_zenml_ships_it()
for _name in ("AzureMLStepOperatorConfig", "AzureMLStepOperatorSettings"):
    setattr(_operator, _name, getattr(_built_in, _name))


class BuiltInConfig(_built_in.AzureMLStepOperatorConfig):  # type: ignore[misc, name-defined]
    """The built-in's, which can be used with a local database."""

    @property
    def is_remote(self) -> bool:
        return False


class BuiltInOperator(_operator.AzureMLStepOperator):
    """The built-in, which can be used with a local artifact store."""

    @property
    def validator(self) -> None:
        return None


class BuiltInFlavor(BaseStepOperatorFlavor):
    @property
    def name(self) -> str:
        return "azureml-built-in"

    @property
    def config_class(self) -> type[BuiltInConfig]:
        return BuiltInConfig

    @property
    def implementation_class(self) -> type[BuiltInOperator]:
        return BuiltInOperator


class NoOperator(BaseStepOperator):
    """Does nothing, and is done at once.

    Attributes:
        submitted: What it was asked to submit in this process.
    """

    submitted: list[Any] = []  # noqa: RUF012

    def get_docker_builds(self, snapshot: Any) -> list[BuildConfiguration]:
        """The images of the other two, to whom its steps are submitted again."""
        return [
            BuildConfiguration(key="azureml_step_operator", settings=step.config.docker_settings, step_name=name)
            for name, step in snapshot.step_configurations.items()
            if step.config.uses_step_operator(self.name)
        ]

    def submit(self, info: Any, entrypoint_command: list[str], environment: dict[str, str]) -> None:
        self.submitted.append(info)

    def get_status(self, step_run: Any) -> ExecutionStatus:
        return ExecutionStatus.COMPLETED


class NoOperatorFlavor(BaseStepOperatorFlavor):
    @property
    def name(self) -> str:
        return "no-op"

    @property
    def config_class(self) -> type[BaseStepOperatorConfig]:
        return BaseStepOperatorConfig

    @property
    def implementation_class(self) -> type[NoOperator]:
        return NoOperator
