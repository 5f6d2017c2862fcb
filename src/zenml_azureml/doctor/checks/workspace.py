"""Whether the workspace can be reached, and with it what tells of its jobs."""

from __future__ import annotations

from zenml_azureml.azure.arm.models import InspectedWorkspace
from zenml_azureml.doctor.result import Finding, Problem, failed, ok, warning

CHECK = "workspace"


def check_workspace(name: str, facts: InspectedWorkspace | Problem, run_history: str | Problem) -> Finding:
    """Whether it is there, in order, and can be read from here.

    Args:
        name: Its name.
        facts: The workspace.
        run_history: Where its run history is.
    """
    if isinstance(facts, Problem):
        return failed(CHECK, facts.what, facts.hint)
    if facts.provisioning_state == "Failed":
        return failed(
            CHECK,
            f"The workspace `{name}` is there, but its provisioning has failed.",
            f"See why in the Azure portal, under *Deployments* of its resource group: {facts.path}",
        )
    if isinstance(run_history, Problem):
        return warning(
            CHECK,
            f"The workspace `{name}` is there, but its run history cannot be reached from here, so jobs have no log "
            f"and no cause of failure. {run_history.what}",
            "Let this machine through to the workspace's own services: a private endpoint, a VPN or a proxy."
            if not facts.is_public
            else run_history.hint,
        )
    return ok(CHECK, f"`{name}` in {facts.location}, with its run history")
