"""Check that steps can reach the artifact store."""

from __future__ import annotations

from dataclasses import dataclass

from zenml_azureml.doctor.result import Finding, Problem, failed, ok, unknown

CHECK = "artifact store"


@dataclass(frozen=True)
class ArtifactStore:
    """The artifact store of the stack.

    Attributes:
        name: Name of the component.
        path: Its path.
        is_local: True if it is on this machine.
        problem: Reason why it could not be read from this machine; empty if it could.
        cannot_load: Reason why it could not be loaded on this machine; empty if it could.
    """

    name: str
    path: str
    is_local: bool
    problem: str = ""
    cannot_load: str = ""


def check_artifact_store(facts: ArtifactStore | Problem, *, jobs_run_here: bool) -> Finding:
    """Check that steps can reach the artifact store.

    Args:
        facts: The artifact store.
        jobs_run_here: True if the workspace is emulated on this machine.
    """
    if isinstance(facts, Problem):
        return unknown(CHECK, facts)
    if facts.is_local and not jobs_run_here:
        return failed(
            CHECK,
            f"The artifact store `{facts.name}` is on this machine ({facts.path}), where jobs on Azure ML "
            "cannot read or write it.",
            "Use a remote one: `zenml artifact-store register NAME --flavor=azure --path=az://CONTAINER`, then `zenml "
            "stack update -a NAME`.",
        )
    if facts.cannot_load:
        return unknown(
            CHECK,
            Problem(
                f"The artifact store `{facts.name}` cannot be loaded on this machine: {facts.cannot_load}",
                "Install its packages, e.g. those of the extra `azure` of zenml-azureml.",
            ),
        )
    if facts.problem:
        return failed(
            CHECK,
            f"The artifact store `{facts.name}` ({facts.path}) cannot be read: {facts.problem}",
            "Check its path, the firewall of its storage account, and its credentials: its own, its service "
            "connector's, or those of the environment. The identity needs the role Storage Blob Data Contributor.",
        )
    return ok(CHECK, f"`{facts.name}` at {facts.path} can be read from this machine")
