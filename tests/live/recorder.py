"""Recordings of exchanges: what was sent and answered, as a file for each."""

from __future__ import annotations

import itertools
import json
import os
import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.live import leaks
from tests.live.known import Known
from tests.live.sanitiser import Sanitiser

#: Headers of answers that only say how they were sent.
_OF_TRANSPORT = frozenset({"connection", "content-encoding", "keep-alive", "transfer-encoding"})


class Writer:
    """Writes exchanges below a folder, one folder for each test.

    Args:
        folder: Created when it is needed.
        sanitiser: Replaces what must not be written.
        known: What must not be left.
    """

    def __init__(self, folder: Path, sanitiser: Sanitiser, known: Known) -> None:
        self._folder = folder
        self._sanitiser = sanitiser
        self._known = known

    def write(self, test: str, exchange: Mapping[str, Any]) -> Path:
        """Write an exchange.

        Args:
            test: Name of the test, or of a part of it.
            exchange: As it was on the wire.

        Raises:
            leaks.LeakError: If something is left that must not be written. Then there is no file.
        """
        clean = self._sanitiser.exchange(exchange)
        leaks.check(clean, self._known)
        folder = self._folder / folder_of(test)
        folder.mkdir(parents=True, exist_ok=True)
        for number in itertools.count(len(list(folder.glob("*.json"))) + 1):
            file = folder / f"{number:04}.json"
            try:
                with file.open("x", encoding="utf-8") as stream:  # another thread may take the number
                    stream.write(leaks.as_text(clean))
            except FileExistsError:
                continue
            return file
        raise AssertionError


def folder_of(test: str) -> str:
    """Return the name of the folder with a test's exchanges."""
    return re.sub(r"[^\w.-]+", "_", test)


def exchange_of(
    *,
    method: str,
    url: str,
    request_body: bytes | str | None,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    client: str,
    base_url: str,
    region: str,
    today: date,
) -> dict[str, Any]:
    """Return an exchange in the form of the recordings in tests/parity.

    Args:
        method: HTTP method.
        url: The whole URL.
        request_body: What was sent.
        status: HTTP status.
        headers: Headers of the answer.
        body: Body of the answer.
        client: `User-Agent` of the request.
        base_url: Address of Resource Manager, which paths are below.
        region: Region of the workspace.
        today: The date.
    """
    parts = urlsplit(url)
    return {
        "kind": "recording",
        "api_version": (parse_qs(parts.query).get("api-version") or [""])[0],
        "date": today.isoformat(),
        "region": region,
        "client": client,
        "method": method,
        "path": url.removeprefix(base_url) if url.startswith(f"{base_url}/") else url,
        "request_body": _content(request_body),
        "status": status,
        "response_headers": {name: value for name, value in headers.items() if name.lower() not in _OF_TRANSPORT},
        "response_body": _content(body),
    }


def read(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Return all exchanges below a folder, by test, in their order."""
    found = {}
    for test in sorted(folder.iterdir()) if folder.is_dir() else []:
        if test.is_dir():
            files = sorted(test.glob("*.json"))
            found[test.name] = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    return found


def _content(body: bytes | str | None) -> Any:
    """Return a body: JSON as what it means, all else as text."""
    if not body:
        return None
    text = body.decode(errors="replace") if isinstance(body, bytes) else body
    try:
        return json.loads(text)
    except ValueError:
        return text


def current_test(environ: Mapping[str, str] = os.environ) -> str:
    """Return the name of the test that runs, as pytest names it."""
    file, _, name = environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0].partition("::")
    return f"{Path(file).name}::{name}" if name else "outside"
