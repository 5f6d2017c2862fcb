"""Model of the setting `distribution`: the nodes and processes of a step. Pure."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field, model_validator

from zenml_azureml.secrets.redacted_model import RedactedModel

#: The kinds of distribution that each option belongs to, by the SDK's names.
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
        type: Framework whose environment variables Azure ML sets: `pytorch`, `mpi`, `tensorflow` or `ray`.
        process_count_per_instance: Processes on each node, for `pytorch` and `mpi`; by default 1.
        worker_count: Workers, for `tensorflow`; by default one for each node.
        parameter_server_count: Parameter servers, for `tensorflow`; by default none.
        port: Port of the head process, for `ray`.
        address: Address of the head node, for `ray`.
        include_dashboard: True to start the dashboard, for `ray`.
        dashboard_port: Port of the dashboard, for `ray`.
        head_node_additional_args: Further arguments of `ray start` on the head node, for `ray`.
        worker_node_additional_args: Further arguments of `ray start` on the other nodes, for `ray`.
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
        """Accept `"pytorch"` as a whole distribution, and the spellings of the SDK: `PyTorch`, `Mpi`."""
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
