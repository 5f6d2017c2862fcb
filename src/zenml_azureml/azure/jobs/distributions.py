"""Mapping between a job's distribution and the SDK's classes. Pure."""

from __future__ import annotations

from dataclasses import fields

from azure.ai.ml import MpiDistribution, PyTorchDistribution, RayDistribution, TensorFlowDistribution

from zenml_azureml.specs.job import JobDistribution

Distribution = MpiDistribution | PyTorchDistribution | RayDistribution | TensorFlowDistribution

_CLASSES: dict[str, type[Distribution]] = {
    "mpi": MpiDistribution,
    "pytorch": PyTorchDistribution,
    "ray": RayDistribution,
    "tensorflow": TensorFlowDistribution,
}


def distribution_of(asked: JobDistribution | None) -> Distribution | None:
    """Return the SDK's entity for a distribution.

    Args:
        asked: The distribution; None for none.
    """
    if asked is None:
        return None
    values = {field.name: getattr(asked, field.name) for field in fields(asked) if field.name != "type"}
    given = {name: value for name, value in values.items() if value is not None}
    if asked.type in ("mpi", "pytorch"):
        given.setdefault("process_count_per_instance", 1)  # the SDK's own default is null, which leaves it open
    return _CLASSES[asked.type](**given)


def processes_per_node(distribution: object) -> int | None:
    """Return `JobDistribution.processes_per_node` of a job that Azure ML returned.

    Args:
        distribution: The SDK's entity; None for none.
    """
    if isinstance(distribution, (MpiDistribution, PyTorchDistribution)):
        return int(distribution.process_count_per_instance or 1)
    return None
