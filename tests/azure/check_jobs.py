"""A workspace whose jobs are real processes, and jobs that check themselves there."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from zenml.config import DockerSettings

from tests.conftest import credential_of
from tests.contract.arm import Arm
from tests.contract.test_vault import CLUSTER
from tests.vault_access import grant, own_vault
from zenml_azureml.azure.client import Workspace
from zenml_azureml.azure.compute.placement import Demands
from zenml_azureml.azure.connection import WorkspaceAddress
from zenml_azureml.clock import SYSTEM_TIME, SystemTime
from zenml_azureml.contract.checks import CHECKS
from zenml_azureml.doctor.result import Finding
from zenml_azureml.doctor.run_job.request import Origin, check_job, options_of
from zenml_azureml.doctor.run_job.run import CheckRun, Planned
from zenml_azureml.emulator import Emulator, WorkspaceName
from zenml_azureml.specs.compute import ComputeSpec, ExistingCompute, Serverless
from zenml_azureml.specs.job import JobOptions

#: Images, by the Python that stands for each: with this package, without it, of another architecture, with a driver of
#: one GPU, and with one that fails.
OURS, BARE, FOREIGN = "example.azurecr.io/train:1", "python:3", "arm64/python:3"
CUDA, BROKEN_CUDA = "cuda:12", "cuda:broken"

_ONE_GPU = "echo 'GPU 0: NVIDIA A100 80GB PCIe (UUID: GPU-1)'"
_NO_DRIVER = "echo 'NVIDIA-SMI has failed because it could not communicate with the NVIDIA driver.'; exit 9"


def interpreters(folder: Path) -> dict[str, Path]:
    """The Python of each image that does not have the tests' own."""
    python = Path(sys.base_prefix) / "bin" / "python3"
    foreign = folder / "foreign" / "python"
    foreign.parent.mkdir()
    # The header of an ELF program for AArch64 (`e_machine` 183), which no kernel of another architecture executes.
    foreign.write_bytes(b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\xb7\x00\x01\x00\x00\x00" + bytes(40))
    foreign.chmod(0o755)
    with_driver = {CUDA: _ONE_GPU, BROKEN_CUDA: _NO_DRIVER}
    for image, script in with_driver.items():
        programs = folder / image.replace(":", "-")
        programs.mkdir()
        _script(programs / "python", f'exec {python} "$@"')
        _script(programs / "nvidia-smi", script)
    pythons = {image: folder / image.replace(":", "-") / "python" for image in with_driver}
    return {BARE: python, FOREIGN: foreign, **pythons}


def _script(path: Path, line: str) -> None:
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)


class QuickTime(SystemTime):
    """A clock that is twenty times as fast as the machine's, so that looks at a job come soon one after the other."""

    _factor = 20

    def monotonic(self) -> float:
        return super().monotonic() * self._factor

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds / self._factor)

    def wait(self, event: threading.Event, seconds: float | None) -> bool:
        return super().wait(event, None if seconds is None else seconds / self._factor)


@dataclass
class Desk:
    """Where such jobs are submitted.

    Attributes:
        emulator: The emulator.
        workspace: Our client of its workspace.
        said: The sentences about the progress of the last job.
    """

    emulator: Emulator
    workspace: Workspace
    said: list[str] = field(default_factory=list)

    @classmethod
    def at(cls, emulator: Emulator) -> Desk:
        """A desk at an emulator, with a cluster whose identity may read secrets."""
        arm = Arm(emulator)
        arm.call("PUT", "computes/gpus", CLUSTER, api_version="2024-04-01")
        body = arm.call("GET", "computes/gpus", api_version="2024-04-01").body
        grant(emulator, "Key Vault Secrets Officer")
        grant(emulator, "Key Vault Secrets User", str(body["identity"]["principalId"]))
        name, credential = WorkspaceName(), credential_of(emulator)
        address = WorkspaceAddress(name.subscription_id, name.resource_group, name.name)
        return cls(emulator, Workspace(address, lambda: credential, QuickTime()))

    def planned(
        self,
        environment: Mapping[str, str] = {},
        *,
        image: str = OURS,
        compute: ComputeSpec = ExistingCompute("gpus"),  # noqa: B008 - frozen
        wait: float = 30,
        asks: Mapping[str, Any] = {},
        **options: Any,
    ) -> Planned:
        """A job with some options; `asks` replaces members of what the client asks of it."""
        of_job = options_of(JobOptions(**options))
        origin = Origin("", "azureml", "server", image, DockerSettings())
        spec = check_job(origin, environment, of_job, wait=timedelta(seconds=wait))
        if asks:
            wanted = {**json.loads(spec.environment_variables[CHECKS]), **asks}
            spec = replace(spec, environment_variables={**spec.environment_variables, CHECKS: json.dumps(wanted)})
        demands = Demands(quota_check="off")
        return Planned(spec, compute, demands, self.workspace.estimate(compute, of_job, demands))

    def run(self, environment: Mapping[str, str] = {}, **more: Any) -> dict[str, Finding]:
        """The findings of a job, by the names of the checks."""
        return self.findings_of(self.planned(environment, **more))

    def findings_of(self, planned: Planned) -> dict[str, Finding]:
        """The same, of a job that is planned."""
        self.said.clear()
        outcome = CheckRun(self.workspace, planned, SYSTEM_TIME, self.said.append).run()
        return {finding.check: finding for finding in outcome.findings}

    def secrets(self) -> list[str]:
        """The names of the secrets in the vault."""
        return list(own_vault(self.emulator).secrets)

    def fail(self, path: str, times: int = 1, **fault: Any) -> None:
        """Have the emulator answer requests otherwise."""
        answer = Arm(self.emulator).call("POST", "/_emulator/faults", {"path": path, "times": times, **fault})
        assert answer.status == 201, answer.text


SERVERLESS = Serverless()
