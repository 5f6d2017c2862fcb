"""Between this process and Azure: the guard before each request, the ledger and the recorder after it.

Everything that talks to Azure here sends by `requests`: the SDK, the operator, azure-identity and the tests.
"""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

import requests
from urllib3 import HTTPResponse

from tests.live.guard import Guard, tagged
from tests.live.leaks import LeakError
from tests.live.ledger import Ledger
from tests.live.recorder import Writer, current_test, exchange_of
from tests.live.sanitiser import Sanitiser
from tests.live.target import FOLDER, TAG, Target

#: Folder of the recordings, and the key of their references; without the folder nothing is recorded.
RECORD = "AZURE_VERIFIED_RECORD"
KEY = "AZURE_VERIFIED_KEY"

#: Paths of sign-in, on an emulator.
_SIGN_IN = re.compile(r"/oauth2/|^/common/|^/msi/|^/imds/|openid-configuration|/discovery/v2\.0/")

#: Hosts of services that are recorded: Azure ML with its run history, key vaults, storage. Not sign-in.
_RECORDED = (".azureml.ms", ".azureml.net", ".vault.azure.net", ".blob.core.windows.net")


class Wire:
    """What each request passes.

    Args:
        target: The workspace.
        guard: Refuses requests.
        ledger: Keeps what was made.
        writer: Records exchanges; None to record none.
        region: Region of the workspace.
        operations: File that gets method, path and test of each exchange.
    """

    def __init__(
        self, target: Target, guard: Guard, ledger: Ledger, writer: Writer | None, region: str, operations: Path
    ) -> None:
        self._target = target
        self._guard = guard
        self._ledger = ledger
        self._writer = writer
        self._region = region
        self._operations = operations
        self.label: Callable[[], str] = current_test
        self.refused_files: list[str] = []

    def send(
        self, original: Callable[..., requests.Response], session: requests.Session, request: Any, **options: Any
    ) -> requests.Response:
        """Send a request, unless the guard refuses it."""
        parts = urlsplit(request.url)
        if not self._is_of_workspace(parts):
            return original(session, request, **options)
        if f"{parts.scheme}://{parts.netloc}" == self._target.base_url and not parts.path.startswith("/history/"):
            body_with_tag = tagged(request.method, parts.path, request.body, self._guard.tag)
            if body_with_tag is not None:
                request.prepare_body(body_with_tag, None)
            self._guard.check(request.method, parts.path, request.body, self._ledger)
        self._ledger.will_send(request.method, request.url)
        response = original(session, request, **options)
        content = response.content
        if options.get("stream"):
            # Whoever reads it raw must be able to, although it has been read.
            response.raw = HTTPResponse(
                io.BytesIO(content),
                headers={k: v for k, v in response.headers.items() if k.lower() != "content-encoding"},
                status=response.status_code,
                preload_content=False,
            )
        body: object = None
        with suppress(ValueError):
            body = json.loads(content)
        self._ledger.was_answered(request.method, request.url, response.status_code, body)
        self._note(request, response, content)
        return response

    def _is_of_workspace(self, parts: SplitResult) -> bool:
        """True for Azure ML and what belongs to a workspace, False for sign-in and all other hosts."""
        host = parts.hostname or ""
        # An emulator's vaults and storage, and its sign-in, have the host of its address.
        is_emulators = not self._target.is_azure and host == urlsplit(self._target.base_url).hostname
        is_manager = f"{parts.scheme}://{parts.netloc}" == self._target.base_url
        return (is_manager or is_emulators or host.endswith(_RECORDED)) and not _SIGN_IN.search(parts.path)

    def _note(self, request: Any, response: requests.Response, content: bytes) -> None:
        label = self.label()
        with self._operations.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps([label, request.method, urlsplit(request.url).path]) + "\n")
        if self._writer is None:
            return
        exchange = exchange_of(
            method=request.method,
            url=request.url,
            request_body=request.body,
            status=response.status_code,
            headers=response.headers,
            body=content,
            client=str(request.headers.get("User-Agent", "")),
            base_url=self._target.base_url,
            region=self._region,
            today=datetime.now(timezone.utc).date(),
        )
        try:
            self._writer.write(label, exchange)
        except LeakError as error:
            with (self._operations.parent / "refused.txt").open("a", encoding="utf-8") as stream:
                stream.write(f"{label}: {request.method}: {error}\n")


#: What nothing takes out again: the end of a context that nobody holds is its exit.
_FOR_GOOD: list[AbstractContextManager[None]] = []


@contextmanager
def installed(wire: Wire) -> Iterator[None]:
    """Let all requests of this process pass it, for the length of a `with`."""
    original = requests.Session.send

    def send(session: requests.Session, request: Any, **options: Any) -> requests.Response:
        return wire.send(original, session, request, **options)

    send.is_guarded = True  # type: ignore[attr-defined]
    requests.Session.send = send  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        requests.Session.send = original  # type: ignore[method-assign]


def is_installed() -> bool:
    """True if the requests of this process pass a wire."""
    return getattr(requests.Session.send, "is_guarded", False)


def from_environment(environ: Mapping[str, str] = os.environ) -> Wire:
    """Return the wire of this process, as the runner has set it up for all processes of the run."""
    target = Target.from_environment(environ)
    assert target is not None
    folder = Path(environ[FOLDER])
    plan = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
    writer = None
    if RECORD in environ:
        known = target.known()
        writer = Writer(Path(environ[RECORD]), Sanitiser(known, environ[KEY].encode()), known)
    limits = {"most_jobs": plan["most_jobs"], "most_minutes": plan["most_minutes"]}
    guard = Guard(target.workspace_id, (TAG, target.run), plan["prices"], **limits)
    return Wire(target, guard, Ledger(folder / "ledger.jsonl"), writer, plan["region"], folder / "operations.jsonl")


def install_for_script(label: str) -> None:
    """Let all requests of this process pass it, for good.

    Args:
        label: What its exchanges are recorded under.
    """
    wire = from_environment()
    wire.label = lambda: label
    for_good = installed(wire)
    for_good.__enter__()
    _FOR_GOOD.append(for_good)
