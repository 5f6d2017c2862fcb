"""Properties of a blob that a file does not have, kept in a file beside it: content type, metadata, blocks.

They belong to one state of the file: if a job writes the file, they do not apply any more.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path

from zenml_azureml.emulator.types import Json


@dataclass
class BlobProperties:
    """What a client has set of a blob.

    Attributes:
        blob_type: `BlockBlob` or `AppendBlob`.
        created: Time of the blob's creation, in ISO 8601; empty if a job has written the file.
        headers: `Content-Type` and so on, as they are answered.
        metadata: Its metadata.
        blocks: Ids and sizes of its committed blocks, in their order.
    """

    blob_type: str = "BlockBlob"
    created: str = ""
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "application/octet-stream"})
    metadata: dict[str, str] = field(default_factory=dict)
    blocks: list[tuple[str, int]] = field(default_factory=list)

    @property
    def created_at(self) -> datetime | None:
        """Time of the blob's creation; None if it is not known."""
        return datetime.fromisoformat(self.created) if self.created else None


def read_properties(path: Path, status: os.stat_result) -> BlobProperties | None:
    """Return the properties of a file in its present state; None if it has none.

    Args:
        path: Of the file with the properties.
        status: Status of the file that they are of.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if found.pop("state") != _state(status):
            return None
        found["blocks"] = [(name, size) for name, size in found["blocks"]]
        return BlobProperties(**found)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def write_properties(path: Path, properties: BlobProperties, status: os.stat_result) -> None:
    """Write the properties of a file. A reader never finds half of them.

    Args:
        path: Of the file with the properties.
        properties: The properties.
        status: Status of the file that they are of.
    """
    content: Json = {"state": _state(status), **asdict(properties)}
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{os.getpid()}-{status.st_ino}")
    partial.write_text(json.dumps(content), encoding="utf-8")
    partial.replace(path)


def drop_properties(path: Path) -> None:
    """Delete the properties of a file that is gone."""
    with suppress(OSError):
        path.unlink()


def _state(status: os.stat_result) -> list[int]:
    return [status.st_ino, status.st_mtime_ns, status.st_size]
