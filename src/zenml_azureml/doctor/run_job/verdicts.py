"""Verdicts about a job, from the lines that it has written about itself. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from zenml_azureml.contract.checks import (
    ARTIFACT_STORE,
    CHECKPOINTS,
    FAILED,
    GPUS,
    IMAGE,
    KEY_VAULT,
    NODES,
    OK,
    SECRETS,
    SERVER,
    Report,
)
from zenml_azureml.doctor.result import Finding, Problem, failed, ok, unknown, warning
from zenml_azureml.doctor.run_job.command import NO_PYTHON

#: The checks, in the order of the findings.
CHECKS: Final = (IMAGE, KEY_VAULT, SECRETS, SERVER, ARTIFACT_STORE, CHECKPOINTS, GPUS, NODES)

#: Next steps for each check that only has one kind of failure.
_NEXT: Final = {
    KEY_VAULT: "Assign the job's identity the role `Key Vault Secrets User` on the vault, and let the vault's firewall "
    "allow the compute (docs/secrets.md). Or set `secrets_via='environment'`.",
    SECRETS: "Check that no other setting of the step or of the image has these names (docs/secrets.md).",
    SERVER: "Check that the compute's network reaches this address, and that its proxy and certificates are set in "
    "the step's `environment_variables` (docs/troubleshooting.md).",
    ARTIFACT_STORE: "Check that the job's identity, or the store's service connector, may read and write there, that "
    "the storage account's firewall allows the compute, and that the image has the store's packages.",
    CHECKPOINTS: "Check that the workspace's default datastore has a valid key or role, and that its storage account's "
    "firewall allows the compute (docs/evictions.md).",
    NODES: "Check that the network of the compute, and its network security group, allow connections between nodes "
    "(docs/nodes.md).",
}
_NO_SERVER: Final = "Deploy a ZenML server that the compute reaches, and run `zenml login URL` (docs/deployment.md)."
_OTHER_ARCHITECTURE: Final = (
    "Build the image for the nodes of Azure ML: DockerSettings(build_config=DockerBuildConfig(build_options="
    "{'platform': 'linux/amd64'}))."
)
_WITHOUT_PACKAGE: Final = Problem(
    "Not checked: zenml-azureml, or this version of it, is not in the image.",
    "Use the image of a step: `--step STEP`, or run a pipeline once, so that ZenML builds one.",
)


@dataclass(frozen=True)
class Expected:
    """What a job should find, and how it ended.

    Attributes:
        nodes: Number of its nodes.
        gpus: GPUs of each; None if unknown.
        size: VM size of its nodes; empty if unknown.
        checkpoints: True if its settings ask for a checkpoint folder.
        by_vault: True if its secrets are in a key vault.
        vault_wanted: True if its settings prefer a key vault.
        ray: True if Ray connects its nodes.
        failure: Reason why it did not complete; None if it did.
    """

    nodes: int = 1
    gpus: int | None = None
    size: str = ""
    checkpoints: bool = False
    by_vault: bool = False
    vault_wanted: bool = True
    ray: bool = False
    failure: Problem | None = None


def findings(reports: Iterable[Report], expected: Expected) -> Iterator[Finding]:
    """Yield the finding of each check.

    Args:
        reports: The reports of the job, in any order.
        expected: What it should find, and how it ended.
    """
    every = list(reports)
    of_check = {check: [one for one in every if one.check == check] for check in CHECKS}
    yield _image(of_check[IMAGE], expected)
    yield _key_vault(of_check[KEY_VAULT], of_check[IMAGE], expected)
    for check in (SECRETS, SERVER, ARTIFACT_STORE):
        yield _plain(check, of_check[check], of_check[IMAGE], expected)
    if expected.checkpoints:
        yield _plain(CHECKPOINTS, of_check[CHECKPOINTS], of_check[IMAGE], expected)
    else:
        yield ok(CHECKPOINTS, "Not requested by the settings")
    yield _gpus(of_check[GPUS], of_check[IMAGE], expected)
    if expected.ray:
        yield unknown(NODES, Problem("Not checked: Ray connects the nodes of this job."))
    elif expected.nodes == 1:
        yield ok(NODES, "The job has one node")
    else:
        yield _plain(NODES, of_check[NODES], of_check[IMAGE], expected)


def _image(reports: Sequence[Report], expected: Expected) -> Finding:
    complete = [one for one in reports if "python" in one.facts]
    if complete:
        one = complete[-1]
        if one.facts.get("package"):
            return ok(IMAGE, one.found)
        return warning(IMAGE, f"{one.found}, and without zenml-azureml, or with another version", _WITHOUT_PACKAGE.hint)
    for one in reports:
        if one.result == NO_PYTHON and "exec format error" in one.found.lower():
            return failed(IMAGE, f"Its programs are of another architecture: {one.found}", _OTHER_ARCHITECTURE)
        if one.result == NO_PYTHON:
            return failed(IMAGE, f"No Python runs in it: {one.found}.", "Use an image with Python, as ZenML builds it.")
    if expected.failure is not None:
        hint = _OTHER_ARCHITECTURE if "exec format error" in expected.failure.what.lower() else expected.failure.hint
        return failed(IMAGE, expected.failure.what, hint)
    return failed(IMAGE, "The job completed, but its log has no results.", "Check its log in Azure ML Studio.")


def _plain(check: str, reports: Sequence[Report], image: Sequence[Report], expected: Expected) -> Finding:
    """Return the finding of a check that has succeeded if all reports say so."""
    bad = [one for one in reports if one.result == FAILED]
    if bad:
        found = " ".join(dict.fromkeys(one.found for one in bad))
        return failed(check, found, _NO_SERVER if "database file" in found and check == SERVER else _NEXT[check])
    good = [one for one in reports if one.result == OK]
    if good:
        return ok(check, good[-1].found)
    if reports:
        return unknown(check, Problem(f"Not checked: {reports[-1].found}".removesuffix(": ")))
    return _no_report(check, image, expected)


def _no_report(check: str, image: Sequence[Report], expected: Expected) -> Finding:
    if any("python" in one.facts and not one.facts.get("package") for one in image):
        return unknown(check, _WITHOUT_PACKAGE)
    if expected.failure is not None and any("python" in one.facts for one in image):
        return unknown(check, Problem(f"Not checked: {expected.failure.what}", expected.failure.hint))
    return unknown(check, Problem("Not checked: the job did not get that far."))


def _key_vault(reports: Sequence[Report], image: Sequence[Report], expected: Expected) -> Finding:
    if expected.by_vault:
        return _plain(KEY_VAULT, reports, image, expected)
    if expected.vault_wanted:
        return warning(
            KEY_VAULT,
            "Not used: the job's secrets are in its definition, which all users with read access to jobs can see.",
            "The warning above names the reason and the missing role (docs/secrets.md).",
        )
    return ok(KEY_VAULT, "Not used, because `secrets_via` is `environment`")


def _gpus(reports: Sequence[Report], image: Sequence[Report], expected: Expected) -> Finding:
    if any(one.result == FAILED for one in reports) or not reports:
        bad = next((one.found for one in reports if one.result == FAILED), "")
        return (
            failed(GPUS, bad, "Check the job's log in Azure ML Studio.") if bad else _no_report(GPUS, image, expected)
        )
    wanted = expected.gpus
    for one in sorted(reports, key=_node):
        where = f"Node {_node(one)}: " if expected.nodes > 1 else ""
        driver, torch = _number(one, "driver") or 0, _number(one, "torch")
        if wanted is not None and driver < wanted:
            has = f"`{expected.size}` has {wanted}" if expected.size else f"the step requests {wanted}"
            problem = str(one.facts.get("problem") or "")
            reason = f" ({problem})" if problem else ""
            return failed(
                GPUS,
                f"{where}The driver shows {driver} GPUs, and {has}{reason}.",
                "Use an image with CUDA (docs/gpu.md), and check that `docker_args` does not hide GPUs. Restart a "
                "compute instance; on Kubernetes, set an `instance_type` that requests GPUs.",
            )
        if torch is not None and torch < driver:
            return failed(
                GPUS,
                f"{where}torch {one.facts.get('version')} shows {torch} of the {driver} GPUs that the driver shows.",
                "Install a build of torch for CUDA, of a version that the driver supports (docs/gpu.md).",
            )
        if one.facts.get("torch_problem") and driver:
            return failed(
                GPUS,
                f"{where}torch cannot be imported: {one.facts['torch_problem']}",
                "Install torch again (docs/gpu.md).",
            )
    missing = expected.nodes - len({_node(one) for one in reports})
    if missing > 0 and not expected.ray:
        return unknown(GPUS, Problem(f"No report from {missing} of {expected.nodes} nodes."))
    if not wanted and all(not _number(one, "driver") for one in reports):
        return ok(GPUS, "None, and the VM size has none" if wanted == 0 else "None")
    return ok(GPUS, f"{reports[0].found}{' on each node' if expected.nodes > 1 else ''}")


def _node(report: Report) -> int:
    return _number(report, "node") or 0


def _number(report: Report, fact: str) -> int | None:
    value = report.facts.get(fact)
    return value if isinstance(value, int) else None
