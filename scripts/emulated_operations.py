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
from urllib.parse import parse_qs, urlsplit

from zenml_azureml.emulator.app import all_routes

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "emulator.md"
BEGIN = "<!-- made by scripts/emulated_operations.py -->\n"
END = "<!-- end of what scripts/emulated_operations.py makes -->\n"

#: Folders of recordings, and the modules of routes that are Azure's.
_RECORDINGS = (ROOT / "tests" / "contract" / "recorded", ROOT / "tests" / "parity")
_SERVICES = re.compile(r"zenml_azureml\.emulator\.services\.(?P<service>\w+)\.")
_PARTS = re.compile(r"(\{[^{}:]+(?::(?:[^{}]|\{[^{}]*\})*)?\})")
_NAMES = {
    "aml": "Azure ML",
    "arm": "Resource Manager",
    "entra": "Microsoft Entra",
    "mlflow": "MLflow",
    "run_history": "run history",
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
    lines = ["| service | resource | operations | api-versions of recordings | recordings |", "|---|---|---|---|---|"]
    for (service, path), found in rows.items():
        compared = {one for one in requests for operation in found if operation.serves(one)}
        versions = ", ".join(sorted({one.version for one in compared if one.version}))
        newest = max((one.date for one in compared), default="")
        methods = ", ".join(sorted({operation.method for operation in found}))
        said = f"{len(compared)}, the newest of {newest}" if compared else "none"
        lines.append(f"| {service} | `{path}` | {methods} | {versions} | {said} |")
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


def recorded_requests() -> Iterator[Recorded]:
    """Yield the requests of all recordings."""
    for folder in _RECORDINGS:
        for file in sorted(folder.rglob("*.json")):
            exchange = json.loads(file.read_text(encoding="utf-8"))
            if exchange.get("kind") != "recording":
                continue
            url = urlsplit(exchange.get("path") or exchange.get("uri") or "")
            version = exchange.get("api_version") or parse_qs(url.query).get("api-version", [""])[0]
            yield Recorded(
                file.stem, exchange["method"], url.path, version, (exchange.get("source") or {}).get("date", "")
            )


if __name__ == "__main__":
    main()
