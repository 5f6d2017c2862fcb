"""Check that the workspace and its run history can be reached."""

from __future__ import annotations

from zenml_azureml.azure.arm.models import InspectedWorkspace
from zenml_azureml.doctor.result import Finding, Problem, failed, ok, warning

CHECK = "workspace"


def check_workspace(name: str, facts: InspectedWorkspace | Problem, run_history: str | Problem) -> Finding:
    """Check that the workspace exists, is provisioned, and can be read from this machine.

    Args:
        name: Name of the workspace.
        facts: The workspace.
        run_history: URL of its run history.
    """
    if isinstance(facts, Problem):
        return failed(CHECK, facts.what, facts.hint)
    if facts.provisioning_state == "Failed":
        return failed(
            CHECK,
            f"The workspace `{name}` exists, but its provisioning has failed.",
            f"For the cause, see *Deployments* of its resource group in the Azure portal: {facts.path}",
        )
    if isinstance(run_history, Problem):
        return warning(
            CHECK,
            f"The workspace `{name}` exists, but its run history cannot be reached from this machine, so jobs have no "
            f"log and no cause of failure. {run_history.what}",
            "Connect this machine to the workspace's own services: by a private endpoint, a VPN or a proxy."
            if not facts.is_public
            else run_history.hint,
        )
    return ok(CHECK, f"`{name}` in {facts.location}, with its run history")
