"""Blocks of a blob that are uploaded one by one, and become the blob when their list is committed."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Sequence
from contextlib import suppress
from io import FileIO
from pathlib import Path
from xml.etree import ElementTree as ET

from zenml_azureml.emulator.services.storage.errors import BlobError
from zenml_azureml.emulator.services.storage.files import Blob

#: Source: "Put Block List": at most 50,000 blocks; ids of at most 64 bytes.
MOST_BLOCKS = 50_000
_LONGEST_ID = 64
_CHUNK = 1024**2


def block_path(folder: Path, block_id: str) -> Path:
    """Return the path of a block that is not committed.

    Raises:
        BlobError: 400, if the id is none.
    """
    try:
        decoded = base64.b64decode(block_id, validate=True)
    except (binascii.Error, ValueError):
        decoded = b""
    if not 0 < len(decoded) <= _LONGEST_ID:
        raise BlobError(
            400,
            "InvalidQueryParameterValue",
            "Value for one of the query parameters specified in the request URI is invalid.",
        )
    return folder / decoded.hex()


def staged_blocks(folder: Path) -> dict[str, Path]:
    """Return the blocks in a folder that are not committed, by their ids."""
    if not folder.is_dir():
        return {}
    found = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    return {base64.b64encode(bytes.fromhex(path.name)).decode(): path for path in found}


def read_block_list(body: bytes) -> list[tuple[str, str]]:
    """Return the kind (`Latest`, `Committed`, `Uncommitted`) and the id of each block in a list.

    Raises:
        BlobError: 400, if it is none.
    """
    try:
        # Expat itself refuses entities that grow beyond measure, and the length of the list is bounded.
        root = ET.fromstring(body)  # noqa: S314
    except ET.ParseError:
        root = ET.Element("")
    blocks = [(item.tag, (item.text or "").strip()) for item in root]
    if root.tag != "BlockList" or any(kind not in ("Latest", "Committed", "Uncommitted") for kind, _ in blocks):
        raise BlobError(400, "InvalidXmlDocument", "XML specified is not syntactically valid.")
    if len(blocks) > MOST_BLOCKS:
        raise BlobError(400, "BlockListTooLong", "The block list may not contain more than 50,000 blocks.")
    return blocks


def commit_blocks(
    wanted: Sequence[tuple[str, str]], staged: Path, blob: Blob | None, content: FileIO
) -> list[tuple[str, int]]:
    """Write the content of a blob from blocks.

    Args:
        wanted: The list that is committed.
        staged: Folder of the blocks that are not committed yet.
        blob: The blob that it replaces.
        content: The new file, without a buffer.

    Returns:
        The blocks with their sizes.

    Raises:
        BlobError: 400, if there is no such block.
    """
    committed, offset = {}, 0
    for block, size in blob.properties.blocks if blob else []:
        committed[block] = (offset, size)
        offset += size
    found = []
    for kind, block in wanted:
        path = block_path(staged, block)
        if kind != "Committed" and path.is_file():
            size = path.stat().st_size
            _copy_part(path, 0, size, content)
            found.append((block, size))
        elif kind != "Uncommitted" and blob is not None and block in committed:
            start, size = committed[block]
            _copy_part(blob.file, start, size, content)
            found.append((block, size))
        else:
            raise BlobError(400, "InvalidBlockList", "The specified block list is invalid.")
    return found


def _copy_part(source: Path, start: int, size: int, content: FileIO) -> None:
    """Copy a part of a file to the end of another; on Linux in the kernel, without a way through this process."""
    with source.open("rb", buffering=0) as part:
        end = start + size
        if hasattr(os, "copy_file_range"):
            with suppress(OSError):  # the file systems do not support it, or the disk is full, as the rest finds out
                while start < end and (done := os.copy_file_range(part.fileno(), content.fileno(), end - start, start)):
                    start += done
        part.seek(start)
        while start < end and (chunk := part.read(min(_CHUNK, end - start))):
            start += content.write(chunk)
            part.seek(start)
