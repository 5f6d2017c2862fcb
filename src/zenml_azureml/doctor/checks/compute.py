"""Check that the workspace's computes can run jobs."""

from __future__ import annotations

from dataclasses import dataclass

from zenml_azureml.azure.arm.models import InspectedCompute
from zenml_azureml.azure.cli_hints import Address, az_ml
from zenml_azureml.azure.refusals.lookup import recognised_in
from zenml_azureml.doctor.result import Finding, Problem, failed, ok, unknown, warning

CHECK = "compute"

#: Number of computes that one line names; the others are counted.
_NAMED = 4


@dataclass(frozen=True)
class ConfiguredCompute:
    """The compute that the step operator's configuration names for all of its steps.

    Attributes:
        name: Its name; empty for serverless compute.
        kind: `compute instance` or `compute cluster`; empty for any kind.
        is_made: True if it is created when it is missing.
        size: VM size to create it with; empty if none is configured.
        low_priority: True if it has low-priority nodes.
        nodes: Number of nodes for which quota is needed: at least one.
    """

    name: str = ""
    kind: str = ""
    is_made: bool = False
    size: str = ""
    low_priority: bool = False
    nodes: int = 1

    def among(self, computes: tuple[InspectedCompute, ...]) -> InspectedCompute | None:
        """Return the compute of that name, as Azure compares names; None if there is none."""
        return next((one for one in computes if self.name and one.name.lower() == self.name.lower()), None)


def check_compute(
    facts: tuple[InspectedCompute, ...] | Problem, configured: ConfiguredCompute, address: Address
) -> Finding:
    """Check that jobs can run on the computes.

    Args:
        facts: The computes.
        configured: The compute that all steps use by default.
        address: The workspace.
    """
    if isinstance(facts, Problem):
        return unknown(CHECK, facts)
    found = configured.among(facts)
    if configured.name and found is None and not configured.is_made:
        return failed(
            CHECK,
            f"The workspace has no compute `{configured.name}`, which is the `compute_target_name` of the step "
            "operator.",
            "Create it, or correct the name: `zenml step-operator update NAME --compute_target_name=...`. To have it "
            "created, set `mode` and `compute_name` instead.",
        )
    if found is not None and configured.kind and found.kind != configured.kind:
        return failed(
            CHECK,
            f"`{found.name}` is a {found.kind}, but the step operator's `mode` requires a {configured.kind} of that "
            "name.",
            "Correct `mode` or `compute_name` with `zenml step-operator update NAME`.",
        )
    broken = [one for one in facts if one.is_broken]
    if found is not None and found.is_broken:
        return failed(CHECK, f"The {found.kind} {_in_words(found)} cannot run jobs.", _how_to_replace(found, address))
    if broken:
        return warning(
            CHECK,
            f"Jobs cannot run on {', '.join(_in_words(one) for one in broken)}.",
            _how_to_replace(broken[0], address),
        )
    return ok(CHECK, f"{_count(facts)}{_what_steps_use(configured, found)}")


def _count(computes: tuple[InspectedCompute, ...]) -> str:
    if not computes:
        return "No computes yet"
    named = ", ".join(_in_words(one) for one in computes[:_NAMED])
    more = f" and {len(computes) - _NAMED} more" if len(computes) > _NAMED else ""
    return f"{named}{more}"


def _what_steps_use(configured: ConfiguredCompute, found: InspectedCompute | None) -> str:
    if not configured.name:
        return "; steps use serverless compute unless their settings say otherwise"
    if found is None:
        return f"; `{configured.name}` is created by the first step that uses it"
    starts = ", which a step starts" if found.state == "Stopped" else ""
    return f"; steps use `{found.name}`{starts}"


def _in_words(compute: InspectedCompute) -> str:
    facts = [compute.size] if compute.size else []
    if compute.max_nodes is not None:
        facts.append(f"{compute.nodes} of {compute.max_nodes} nodes")
    facts.append(f"{compute.state}: {compute.errors}" if compute.errors else compute.state)
    return f"`{compute.name}` ({', '.join(facts)})"


def _how_to_replace(compute: InspectedCompute, address: Address) -> str:
    command = az_ml(address, "ml compute delete", name=compute.name)
    found = recognised_in(compute.errors)
    if found is not None:
        return f"{found.advice(address)}\nTo delete it: `{command}`"
    return f"Delete it in Azure ML Studio or with `{command}`; a step whose settings name it creates it again."
