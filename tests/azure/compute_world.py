"""A workspace on an emulator whose time passes only while our side waits, and who else is busy in it."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar
from urllib.parse import urlsplit

from azure.core.credentials import TokenCredential

from tests.contract.arm import Arm
from tests.contract.waiting import eventually
from zenml_azureml.azure.compute.provisioner import ComputeTarget, ensure_compute
from zenml_azureml.azure.connection import WorkspaceAddress, WorkspaceConnection
from zenml_azureml.azure.transport import WorkspaceTransport
from zenml_azureml.emulator import Emulator
from zenml_azureml.emulator.clock import ManualClock
from zenml_azureml.emulator.resources import Compute
from zenml_azureml.emulator.types import Json
from zenml_azureml.specs.compute import ComputeSpec

T = TypeVar("T")

#: What the last part of a URL stands for.
_PLACES = {
    "computes": "compute",
    "workspaces": "workspace",
    "computeOperationsStatus": "operation",
}


class ObservedTransport(WorkspaceTransport):
    """The real transport; it notes what it sends, and sleeps as it is told to."""

    def __init__(self, sleeper: Callable[[float], None]) -> None:
        super().__init__(sleeper=sleeper)
        self.sent: list[str] = []

    def send(self, request: Any, **options: Any) -> Any:
        self.sent.append(f"{request.method} {place(request.url)}")
        return super().send(request, **options)


def place(url: str) -> str:
    """What a request is about: `compute`, `operation`, or the action that it asks for."""
    parts = urlsplit(url).path.split("/")
    return _PLACES.get(parts[-2], parts[-1])


class World:
    """An emulator, our connection to its workspace, and other clients of it.

    Attributes:
        arm: The other clients.
        sent: What our connection has sent since `ensure` was called for the first time.
    """

    def __init__(self, emulator: Emulator, clock: ManualClock, credential: TokenCredential) -> None:
        self.emulator = emulator
        self.clock = clock
        self.arm = Arm(emulator)
        self._credential = credential
        self._transport = ObservedTransport(self.sleep)
        self.connection = self.connect(self._transport)

    def connect(self, transport: ObservedTransport | None = None) -> WorkspaceConnection:
        """Another connection to the workspace."""
        workspace = self.emulator.context.store.workspaces[0]
        address = WorkspaceAddress(workspace.subscription_id, workspace.resource_group, workspace.name)
        return WorkspaceConnection(address, lambda: self._credential, transport or ObservedTransport(self.sleep))

    @property
    def sent(self) -> list[str]:
        return self._transport.sent

    def sleep(self, seconds: float) -> None:
        """Sleep in the emulator's time."""
        self.emulator.run(self.clock.advance(seconds))

    def ensure(self, request: ComputeSpec) -> ComputeTarget:
        return ensure_compute(self.connection, request, clock=self.clock.monotonic, sleep=self.sleep)

    def compute(self, name: str) -> Compute:
        found = self.emulator.context.store.workspaces[0].find_compute(name)
        assert found is not None
        return found

    def provisioning_takes(self, seconds: float) -> None:
        self.emulator.context.settings.compute_provisioning = seconds

    def others_create(self, name: str, body: Json) -> None:
        assert self.arm.call("PUT", f"computes/{name}", body).status == 201

    def others_change(self, name: str, scale: Json) -> None:
        body = {"properties": {"properties": {"scaleSettings": scale}}}
        assert self.arm.call("PATCH", f"computes/{name}", body).status == 202

    def others(self, action: str, name: str) -> None:
        """Somebody else starts, stops or restarts an instance."""
        assert self.arm.call("POST", f"computes/{name}/{action}").status == 202

    def others_delete(self, name: str) -> None:
        assert self.arm.call("DELETE", f"computes/{name}?underlyingResourceAction=Delete").status == 202

    def say(self, name: str, **inner: object) -> None:
        """Have the service say something else of a compute, e.g. `state="Unusable"`."""
        self.sleep(0)  # what is due happens first
        self.compute(name).inner.update(inner)

    def have(self, body: Json) -> None:
        """Have a compute in the workspace that the emulator cannot create."""
        compute = Compute(name=body["name"], body=body)
        self.emulator.context.store.workspaces[0].computes[compute.name] = compute

    def arm_fault(self, **fault: object) -> None:
        answer = self.arm.call("POST", f"{self.emulator.base_url}/_emulator/faults", fault)
        assert answer.status == 201

    def while_our_look_is_on_its_way(
        self, request: ComputeSpec, others: Callable[[], None], *, at: str = "/computes/"
    ) -> ComputeTarget:
        """Ask for a compute; between our first look (at its creation, say) and what we do next, others do something."""
        self.arm_fault(method="GET", path=at, delay=5)
        with ThreadPoolExecutor(1) as pool:
            asking: Future[ComputeTarget] = pool.submit(self.ensure, request)
            eventually(lambda: any(fault["fired"] for fault in self.faults()))
            others()
            self.sleep(5)
            return asking.result()

    def faults(self) -> list[Json]:
        """The faults that were armed, and how many requests each has met."""
        faults: list[Json] = self.arm.call("GET", f"{self.emulator.base_url}/_emulator/faults").body
        return faults


def instance(size: str = "Standard_DS3_v2", **inner: object) -> Json:
    """Body of a PUT that creates a compute instance."""
    return _body("ComputeInstance", {"vmSize": size, **inner})


def cluster(size: str = "Standard_DS3_v2", *, most: int = 2, least: int = 0, **inner: object) -> Json:
    """Body of a PUT that creates a compute cluster."""
    scale = {"maxNodeCount": most, "minNodeCount": least, "nodeIdleTimeBeforeScaleDown": "PT2M"}
    return _body("AmlCompute", {"vmSize": size, "scaleSettings": scale, **inner})


def attached(name: str, kind: str, workspace: str) -> Json:
    """A compute that was attached to the workspace: none that Azure ML made."""
    return {
        "id": f"{workspace}/computes/{name}",
        "name": name,
        "type": "Microsoft.MachineLearningServices/workspaces/computes",
        "location": "westeurope",
        "tags": {},
        "properties": {
            "createdOn": "2024-01-01T00:00:00+00:00",
            "modifiedOn": "2024-01-01T00:00:00+00:00",
            "computeType": kind,
            "provisioningState": "Succeeded",
            "provisioningErrors": None,
            "isAttachedCompute": True,
            "resourceId": f"/subscriptions/x/{kind}/{re.sub('[^a-z]', '', name)}",
            "properties": {"namespace": "default"} if kind == "Kubernetes" else {},
            "description": None,
        },
    }


def _body(kind: str, inner: dict[str, object]) -> Json:
    return {"location": "westeurope", "properties": {"computeType": kind, "properties": inner}}
