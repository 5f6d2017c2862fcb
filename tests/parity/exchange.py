"""Recorded exchanges, and the same requests to an emulator."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.contract.arm import Answer, Arm
from tests.parity.older_setups import OLDER_PLACES, OLDER_REQUESTS, OLDER_SENDS, OLDER_SETUPS
from tests.parity.setups import SENDS, SETUPS, SUBSCRIPTION, WITHOUT_WORKSPACE
from zenml_azureml.emulator import Emulator, WorkspaceName
from zenml_azureml.emulator.clock import ManualClock
from zenml_azureml.emulator.context import Settings
from zenml_azureml.emulator.runtimes.simulated.runtime import SimulatedRuntime

HERE = Path(__file__).parent
#: Recordings of 2022 to 2026, with a choice of their headers; quotations; examples of Microsoft's description.
OLDER = HERE.parent / "contract" / "recorded"
#: The folders of all exchanges.
FOLDERS = [*sorted({file.parent for file in HERE.rglob("*.json")}), OLDER]
#: Recordings of which some items of a long list were kept.
_EXCERPTS = {"usages_list_2025", "vmsizes_list_2025"}
#: Exchanges with each header that the service has sent.
_WITH_ALL_HEADERS = {"compute_op_inprogress_all_headers"}

#: The workspace that a path names.
_WORKSPACE = re.compile(r"/subscriptions/([^/]+)/resourceGroups/([^/]+)/providers/[^/]+/workspaces/([^/?]+)", re.I)
#: Where paths are that name none, and the data plane's host.
_ELSEWHERE = (SUBSCRIPTION, "rg", "ws")
_SUBSCRIPTION = re.compile(r"^/subscriptions/([^/]+)/")
_VERSION = re.compile(r"\d{4}-")
_LATEST = "2024-04-01"
_HOST = re.compile(r"https://[^/]+")


class SetupError(Exception):
    """Error of a request that prepares the emulator."""


@dataclass(frozen=True)
class Exchange:
    """A recorded request with its answer.

    Attributes:
        name: Name of its file.
        number: Its number; 0 for none.
        kind: `recording`, or a partial one, a quotation or an example.
        api_version: The api-version of the request.
        region: Region of the workspace.
        method: HTTP method.
        path: Path and query.
        request_body: Body of the request; None for none.
        status: HTTP status of the answer.
        headers: Headers of the answer.
        body: Body of the answer.
        setup: Requests that prepare the emulator, oldest first, each with `advance`: seconds that pass after it.
        are_headers_chosen: True if the recorded headers are a choice, so that an absent one shows nothing.
        has_all_headers: True if each header is recorded that the service has sent.
        sent_headers: Further headers of the request.
        place: Where in an answer the body is, if it is a fragment.
        send: Header of the last of these answers that has the address to request; empty for `path`.
    """

    name: str
    number: int
    kind: str
    api_version: str
    region: str
    method: str
    path: str
    request_body: Any
    status: int
    headers: dict[str, str]
    body: Any
    setup: list[dict[str, Any]] = field(default_factory=list)
    send: str = ""
    are_headers_chosen: bool = False
    has_all_headers: bool = False
    sent_headers: dict[str, str] = field(default_factory=dict)
    place: tuple[str | int, ...] = ()

    @property
    def is_partial(self) -> bool:
        """True for what is not a whole recording: an excerpt, a quotation, an example of Microsoft's description."""
        return self.kind != "recording"

    @classmethod
    def read(cls, file: Path) -> Exchange:
        """Read an exchange from its file."""
        found = json.loads(file.read_text(encoding="utf-8"))
        found.update(OLDER_REQUESTS.get(file.stem, {}))
        headers = found.get("response_headers") or found.get("response_headers_of_interest") or {}
        return cls(
            name=file.stem,
            number=found.get("number", 0),
            kind="partial recording" if file.stem in _EXCERPTS else found["kind"],
            api_version=found.get("api_version") or "",
            region=found.get("region") or _region_in(json.dumps(found)),
            method=found.get("method", "GET"),
            path=_HOST.sub("", found.get("path") or found.get("uri") or "", count=1),
            request_body=found.get("request_body"),
            status=found.get("status") or 0,
            headers={name.lower(): value for name, value in headers.items()},
            body=found.get("response_body"),
            setup=found.get("emulator_setup") or {**SETUPS, **OLDER_SETUPS}.get(file.stem, []),
            send=found.get("emulator_send", {**SENDS, **OLDER_SENDS}.get(file.stem, "")).strip("{}"),
            are_headers_chosen=file.resolve().parent == OLDER or "response_headers_of_interest" in found,
            has_all_headers=file.stem in _WITH_ALL_HEADERS,
            sent_headers=found.get("headers") or {},
            place=OLDER_PLACES.get(file.stem, ()),
        )


@dataclass(frozen=True)
class Asked:
    """An emulator's answer to the request of an exchange.

    Attributes:
        answer: The answer.
        base_url: Address of the emulator.
    """

    answer: Answer
    base_url: str


def _region_in(text: str) -> str:
    """Return the region that an exchange names; the emulator's own if it names none."""
    named = re.search(r"/locations/([a-z0-9]+)/", text) or re.search(r'"location": "([a-z0-9]+)"', text)
    named = named or re.search(r"//([a-z0-9]+)\.api\.azureml", text)
    return named[1] if named else "eastus2"


def exchanges_in(folders: Iterable[Path]) -> list[Exchange]:
    """Return the exchanges in folders, by their numbers."""
    files = [file for folder in folders for file in sorted(folder.glob("*.json"))]
    return sorted((Exchange.read(file) for file in files), key=lambda exchange: exchange.number)


def ask(exchange: Exchange) -> Asked:
    """Send the request of an exchange to an emulator of its own, prepared by the exchange's setup.

    Raises:
        SetupError: If a request of the setup fails.
    """
    clock, settings = ManualClock(), Settings(compute_provisioning=60, job_preparation=60, job_finalization=1)
    found = _WORKSPACE.search(exchange.path)
    subscription, group, workspace = found.groups() if found else _ELSEWHERE
    named = _SUBSCRIPTION.match(exchange.path)
    subscription = named[1] if named else subscription
    if exchange.name in WITHOUT_WORKSPACE:
        workspace = "another"
    place = WorkspaceName(subscription, group, workspace, exchange.region)
    with (
        tempfile.TemporaryDirectory(prefix="parity-") as folder,
        Emulator(
            Path(folder) / "state",
            workspaces=[place],
            runtime=SimulatedRuntime(clock, settings),
            clock=clock,
            settings=settings,
        ) as emulator,
    ):
        arm = Arm(emulator)
        path = exchange.path
        for step in exchange.setup:
            address = step["path"] or arm.workspace
            body = json.loads(json.dumps(step.get("body")).replace("{workspace}", arm.workspace))
            answer = arm.call(step["method"], address, body, api_version=step["api_version"])
            if answer.status >= 300:
                raise SetupError(f"{step['method']} {step['path']}: {answer.status} {answer.text[:300]}")
            if exchange.send in answer.headers:
                path = answer.headers[exchange.send]
            if step.get("advance"):
                emulator.run(clock.advance(step["advance"]))
        path = path.replace("{workspace}", arm.workspace)
        version = None if "api-version" in path or "/history/" in path else exchange.api_version or _LATEST
        version = version if version and _VERSION.match(version) else None
        answer = arm.call(
            exchange.method, path, exchange.request_body, api_version=version, headers=exchange.sent_headers
        )
        return Asked(answer, emulator.base_url)
