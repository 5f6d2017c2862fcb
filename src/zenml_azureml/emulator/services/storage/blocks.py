"""Blocks of a blob that are uploaded one by one, and become the blob when their list is committed."""

from __future__ import annotations

import asyncio
import base64
import binascii
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import BinaryIO, NamedTuple
from xml.etree import ElementTree as ET

from zenml_azureml.emulator.services.storage.errors import BlobError
from zenml_azureml.emulator.services.storage.files import Blob

#: Source: "Put Block List": at most 50,000 blocks; ids of at most 64 bytes.
MOST_BLOCKS = 50_000
_LONGEST_ID = 64
#: Source: "Put Block": at most 4,000 MiB.
_LONGEST_BLOCK = 4_000 * 1024**2
_CHUNK = 1024**2


class Part(NamedTuple):
    """A block's content: a part of a file.

    Attributes:
        block: The block's id.
        file: The file.
        offset: Where it begins.
        size: Its length.
    """

    block: str
    file: Path
    offset: int
    size: int


class StagedBlocks:
    """The blocks of one blob that are not committed.

    One file has their content, in the order in which they came, which is nearly that of their list: so it becomes the
    blob, and not all of it is written twice. Another file has a line for each block that is complete.

    Args:
        folder: Their folder; need not exist.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.content = folder / "content"
        self._index = folder / "index"

    @property
    def size(self) -> int:
        """Bytes of their content, with those of blocks that are incomplete or were replaced."""
        return self.content.stat().st_size if self.content.is_file() else 0

    def begin(self, size: int | None) -> BinaryIO:
        """Return a file in which there is room for one more block from its position on.

        Raises:
            BlobError: 411 or 413, if no block has that size.
        """
        if size is None:
            raise BlobError(411, "MissingContentLengthHeader", "The Content-Length header was not specified.")
        if size > _LONGEST_BLOCK:
            raise BlobError(
                413,
                "RequestBodyTooLarge",
                "The request body is too large and exceeds the maximum permissible limit.",
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        self.content.touch()
        content = self.content.open("r+b")
        offset = content.seek(0, os.SEEK_END)
        content.truncate(offset + size)
        return content

    def add(self, block_id: str, content: BinaryIO, offset: int) -> None:
        """Note that a block is complete, up to the position of the file; one with the same id is replaced.

        Raises:
            BlobError: 503, if a list was committed meanwhile: that drops all blocks.
        """
        size = content.tell() - offset
        content.flush()
        if not self.content.is_file() or not os.path.samestat(os.fstat(content.fileno()), self.content.stat()):
            # Guess: Azure keeps such a block. Clients send it again.
            raise BlobError(
                503, "ServerBusy", "The server is currently unable to receive requests. Please retry your request."
            )
        with self._index.open("a", encoding="ascii") as index:
            index.write(f"{decoded_id(block_id).hex()} {offset} {size}\n")

    def parts(self) -> dict[str, Part]:
        """Return the complete blocks by their ids."""
        if not self._index.is_file():
            return {}
        lines = self._index.read_text(encoding="ascii").splitlines(keepends=True)
        found = {}
        for line in lines:
            if line.endswith("\n"):  # a line that is not was written while the emulator was killed
                name, offset, size = line.split()
                block = base64.b64encode(bytes.fromhex(name)).decode()
                found[block] = Part(block, self.content, int(offset), int(size))
        return found


def decoded_id(block_id: str) -> bytes:
    """Return the bytes that a block's id stands for.

    Raises:
        BlobError: 400, if it is none.
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
    return decoded


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


def find_parts(wanted: Iterable[tuple[str, str]], staged: StagedBlocks, blob: Blob | None) -> list[Part]:
    """Return the content of a blob that is to be made of blocks.

    Args:
        wanted: The list that is committed.
        staged: The blocks that are not committed yet.
        blob: The blob that it replaces.

    Raises:
        BlobError: 400, if there is no such block.
    """
    new = staged.parts()
    old = {part.block: part for part in _committed(blob)} if blob else {}
    places = {"Latest": (new, old), "Uncommitted": (new,), "Committed": (old,)}
    found = []
    for kind, block in wanted:
        part = next((place[block] for place in places[kind] if block in place), None)
        if part is None:
            raise BlobError(400, "InvalidBlockList", "The specified block list is invalid.")
        found.append(part)
    return found


async def assemble(parts: Sequence[Part], staged: StagedBlocks, partial: Path, claimed: Path) -> Path:
    """Return a file with the content of a blob.

    Args:
        parts: The content.
        staged: Blocks of the blob that are not committed.
        partial: A file that does not exist.
        claimed: A folder that does not exist.
    """
    moves = _moves(parts, staged)
    if moves is not None:
        # What is to be moved is copied first: if there is no room for it, nothing has changed.
        await asyncio.to_thread(_copy, [part for part, _ in moves], partial)
        if _are_all(parts, staged):
            # No further block comes to them now.
            staged.folder.rename(claimed)
            content = claimed / staged.content.name
            await asyncio.to_thread(_place, partial, moves, content)
            return content
    await asyncio.to_thread(_copy, parts, partial)
    return partial


def _committed(blob: Blob) -> Iterator[Part]:
    offset = 0
    for block, size in blob.properties.blocks:
        yield Part(block, blob.file, offset, size)
        offset += size


def _are_all(parts: Sequence[Part], staged: StagedBlocks) -> bool:
    """True if parts are all that was staged, each once: nothing beside them is there, or on its way."""
    are_staged = {part.block for part in parts if part.file == staged.content}
    return len(are_staged) == len(parts) and sum(part.size for part in parts) == staged.size


def _moves(parts: Sequence[Part], staged: StagedBlocks) -> list[tuple[Part, int]] | None:
    """Return which parts of the staged blocks have to move, and where to; None if a copy of all is less work."""
    if not _are_all(parts, staged):
        return None
    moves, begin = [], 0
    for part in parts:
        if part.offset != begin:
            moves.append((part, begin))
        begin += part.size
    return moves if 2 * sum(part.size for part, _ in moves) <= begin else None


def _copy(parts: Iterable[Part], target: Path) -> None:
    """Write parts one after the other to a new file."""
    with target.open("wb", buffering=0) as content:
        for part in parts:
            with part.file.open("rb", buffering=0) as source:
                _copy_part(source, part.offset, part.size, content)


def _place(source: Path, moves: Iterable[tuple[Part, int]], target: Path) -> None:
    """Write parts, which are in a file one after the other, to their places in another one."""
    with source.open("rb", buffering=0) as copies, target.open("r+b", buffering=0) as content:
        begin = 0
        for part, place in moves:
            content.seek(place)
            _copy_part(copies, begin, part.size, content)
            begin += part.size


def _copy_part(source: FileIO, start: int, size: int, target: FileIO) -> None:
    """Copy a part of a file to another; on Linux in the kernel, without a way through this process."""
    end = start + size
    if hasattr(os, "copy_file_range"):
        with suppress(OSError):  # the file systems do not support it, or the disk is full, as the rest finds out
            while start < end and (done := os.copy_file_range(source.fileno(), target.fileno(), end - start, start)):
                start += done
    source.seek(start)
    while start < end and (chunk := source.read(min(_CHUNK, end - start))):
        start += target.write(chunk)
        source.seek(start)
