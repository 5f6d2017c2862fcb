"""The table of operations in docs/emulator.md, made from the emulator's routes and the recordings.

`python -m scripts.emulated_operations` writes it; a test fails if it is out of date.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from zenml_azureml.emulator.app import all_routes

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "emulator.md"
BEGIN = "<!-- made by scripts/emulated_operations.py -->\n"
VERIFIED = ROOT / "tests" / "live" / "verified.json"
END = "<!-- end of what scripts/emulated_operations.py makes -->\n"

#: Folders of recordings, and the modules of routes that are Azure's.
_RECORDINGS = tuple(ROOT / "tests" / folder for folder in ("contract/recorded", "parity", "live/recordings"))
_SERVICES = re.compile(r"zenml_azureml\.emulator\.services\.(?P<service>\w+)\.")
_PARTS = re.compile(r"(\{[^{}:]+(?::(?:[^{}]|\{[^{}]*\})*)?\})")
_NAMES = {
    "aml": "Azure ML",
    "arm": "Resource Manager",
    "entra": "Microsoft Entra",
    "mlflow": "MLflow",
    "run_history": "run history",
    "ssh": "nodes of jobs",
    "storage": "storage",
}


@dataclass(frozen=True)
class Operation:
    """An operation that the emulator has.

    Attributes:
        service: The service, e.g. `Azure ML`.
        method: HTTP method.
        path: The path, shortened.
        pattern: Regular expression of the whole path.
    """

    service: str
    method: str
    path: str
    pattern: re.Pattern[str]

    @property
    def title(self) -> str:
        """Method and path, as tests/live/verified.json names the operation."""
        return f"{self.method} {self.path}"

    def serves(self, request: Recorded) -> bool:
        """True if a recorded request is one of this operation."""
        return request.method == self.method and self.pattern.fullmatch(request.path) is not None


@dataclass(frozen=True)
class Recorded:
    """A recorded request: file, method, path, api-version and date."""

    file: str
    method: str
    path: str
    version: str
    date: str


def main() -> None:
    """Replace the old table."""
    PAGE.write_text(with_table(PAGE.read_text()))


def with_table(page: str) -> str:
    """Return the page with the table as routes and recordings are.

    Args:
        page: The page as it is.
    """
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def table() -> str:
    """Return the operations by service and resource, with what they are compared with."""
    requests = list(recorded_requests())
    rows: dict[tuple[str, str], list[Operation]] = defaultdict(list)
    for operation in operations():
        rows[operation.service, operation.path].append(operation)
    verified = json.loads(VERIFIED.read_text(encoding="utf-8"))
    dates = verified_dates(verified)
    lines = [
        f"{verified_sentence(verified)} [How to run it](live.md).",
        "",
        "| service | resource | operations | api-versions of recordings | recordings | verified on Azure |",
        "|---|---|---|---|---|---|",
    ]
    for (service, path), found in rows.items():
        compared = {one for one in requests for operation in found if operation.serves(one)}
        versions = ", ".join(sorted({one.version for one in compared if one.version}))
        newest = max((one.date for one in compared), default="")
        methods = ", ".join(sorted({operation.method for operation in found}))
        said = f"{len(compared)}, the newest of {newest}" if compared else "none"
        on_azure = "; ".join(
            f"{', '.join(sorted(one.method for one in found if dates.get(one.title) == date))}: {date}"
            for date in sorted({dates[operation.title] for operation in found if operation.title in dates})
        )
        lines.append(f"| {service} | `{path}` | {methods} | {versions} | {said} | {on_azure or 'no'} |")
    return "\n".join(lines) + "\n"


def operations() -> Iterator[Operation]:
    """Yield each operation of Azure that the emulator's own address serves, by service and path."""
    by_service: dict[str, list[Operation]] = defaultdict(list)
    for route in all_routes():
        module = _SERVICES.match(route.handler.__module__ + ".")
        if module is None:
            continue
        pattern = "".join("[^/?]+" if word.startswith("{") else re.escape(word) for word in _PARTS.split(route.path))
        service = _NAMES[module["service"]]
        operation = Operation(service, route.method, _shown(route.path), re.compile(pattern, re.IGNORECASE))
        by_service[service].append(operation)
    for found in by_service.values():
        yield from sorted(found, key=lambda operation: operation.path)


def _shown(path: str) -> str:
    """Return a path without what stands before the resource: subscription, group, provider and workspace."""
    names = re.sub(r"\{(\w+)(?::(?:[^{}]|\{[^{}]*\})*)?\}", r"{\1}", path)
    for before in ("/workspaces/{workspace}/", "/providers/"):
        if before in names:
            resource = names.rpartition(before)[2]
            if resource == "{namespace}":
                return "providers/{namespace}"
            return resource.removeprefix("Microsoft.MachineLearningServices/")
    return names


def operation_named(method: str, path: str) -> str | None:
    """Return the operation of a request, as `PUT jobs/{job}`; None for a request of any other service.

    Args:
        method: HTTP method.
        path: Path of the URL, without query.
    """
    request = Recorded("", method, path, "", "")
    return next((one.title for one in operations() if one.serves(request)), None)


def verified_sentence(verified: dict[str, dict[str, Any]]) -> str:
    """Return how many operations tests have verified on Azure, and when.

    Args:
        verified: Date and operations by test, as in tests/live/verified.json.
    """
    all_operations = {one.title for one in operations()}
    dates = verified_dates(verified)
    count = f"{len(dates.keys() & all_operations)} of {len(all_operations)} operations verified on Azure"
    newest = max((test["date"] for test in verified.values()), default="")
    return f"**{count} on {newest}**." if newest else f"**{count}**: `make live` has not been run on Azure yet."


def verified_dates(verified: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Return the newest date on which a test used each operation on Azure and passed."""
    dates: dict[str, str] = {}
    for test in verified.values():
        for operation in test["operations"]:
            dates[operation] = max(dates.get(operation, ""), test["date"])
    return dates


def recorded_requests() -> Iterator[Recorded]:
    """Yield the requests of all recordings."""
    for folder in _RECORDINGS:
        for file in sorted(folder.rglob("*.json")):
            exchange = json.loads(file.read_text(encoding="utf-8"))
            if exchange.get("kind") != "recording":
                continue
            url = urlsplit(exchange.get("path") or exchange.get("uri") or "")
            version = exchange.get("api_version") or parse_qs(url.query).get("api-version", [""])[0]
            date = exchange.get("date") or (exchange.get("source") or {}).get("date", "")
            yield Recorded(file.stem, exchange["method"], url.path, version, date)


if __name__ == "__main__":
    main()
