"""How a step is spread over nodes and processes: the setting, and how many processes that makes. Pure."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field, model_validator

from zenml_azureml.secrets.redacted_model import RedactedModel

#: What belongs to which kind, by the names that the SDK has for them.
_BELONGS_TO = {
    "process_count_per_instance": ("pytorch", "mpi"),
    "parameter_server_count": ("tensorflow",),
    "worker_count": ("tensorflow",),
    "port": ("ray",),
    "address": ("ray",),
    "include_dashboard": ("ray",),
    "dashboard_port": ("ray",),
    "head_node_additional_args": ("ray",),
    "worker_node_additional_args": ("ray",),
}


class AzureMLDistribution(RedactedModel):
    """The processes of a job on all of its nodes, and how they find each other.

    Attributes:
        type: Whose variables Azure ML sets: `pytorch`, `mpi`, `tensorflow` or `ray`.
        process_count_per_instance: For `pytorch` and `mpi`: processes on each node; 1 by default.
        worker_count: For `tensorflow`: workers; as many as there are nodes by default.
        parameter_server_count: For `tensorflow`: parameter servers; none by default.
        port: For `ray`: port of the head process.
        address: For `ray`: address of the head node.
        include_dashboard: For `ray`: whether its dashboard is started.
        dashboard_port: For `ray`: port of the dashboard.
        head_node_additional_args: For `ray`: further arguments of `ray start` on the head node.
        worker_node_additional_args: For `ray`: further arguments of `ray start` on the other nodes.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["pytorch", "mpi", "tensorflow", "ray"]
    process_count_per_instance: int | None = Field(default=None, ge=1)
    worker_count: int | None = Field(default=None, ge=1)
    parameter_server_count: int | None = Field(default=None, ge=0)
    port: int | None = Field(default=None, ge=1, le=65535)
    address: str | None = None
    include_dashboard: bool | None = None
    dashboard_port: int | None = Field(default=None, ge=1, le=65535)
    head_node_additional_args: str | None = None
    worker_node_additional_args: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _in_our_words(cls, data: Any) -> Any:
        """`"pytorch"` alone is a distribution; the SDK and its documents write `PyTorch`, `Mpi`."""
        if isinstance(data, str):
            data = {"type": data}
        if isinstance(data, dict) and isinstance(data.get("type"), str):
            data = {**data, "type": data["type"].lower()}
        return data

    @model_validator(mode="after")
    def _belong_together(self) -> AzureMLDistribution:
        for name, kinds in _BELONGS_TO.items():
            if getattr(self, name) is not None and self.type not in kinds:
                raise ValueError(f"`{name}` belongs to the type {' or '.join(map(repr, kinds))}, not to {self.type!r}")
        return self
