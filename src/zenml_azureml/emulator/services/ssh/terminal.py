"""A terminal of this machine, read and written without blocking."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import struct
import termios
from collections.abc import Callable
from contextlib import suppress
from typing import Any


class Terminal:
    """A pseudo-terminal: a program has its inner end, and this class the outer one.

    Attributes:
        inner: File descriptor of the inner end; closed by `close_inner`.
    """

    def __init__(self) -> None:
        self._outer, self.inner = pty.openpty()
        os.set_blocking(self._outer, False)
        self._is_inner_open = True

    def resize(self, size: tuple[int, int, int, int]) -> None:
        """Set the size: columns, rows, and both in pixels."""
        columns, rows, width, height = size
        fcntl.ioctl(self._outer, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, width, height))

    async def read(self, most: int) -> bytes:
        """Return output of the program; empty if nothing has the terminal any more.

        Args:
            most: Number of bytes.
        """
        loop = asyncio.get_running_loop()
        while True:
            try:
                return os.read(self._outer, most)
            except BlockingIOError:
                await _ready(loop.add_reader, loop.remove_reader, self._outer)
            except OSError:  # Linux has EIO for the end
                return b""

    async def write(self, data: bytes) -> None:
        """Type something; nothing is what Ctrl+D is."""
        loop = asyncio.get_running_loop()
        data = data or b"\x04"
        while data:
            try:
                data = data[os.write(self._outer, data) :]
            except BlockingIOError:
                await _ready(loop.add_writer, loop.remove_writer, self._outer)

    def close_inner(self) -> None:
        """Close the inner end, which the program has now."""
        if self._is_inner_open:
            self._is_inner_open = False
            os.close(self.inner)

    def close(self) -> None:
        """Close both ends; the program is sent SIGHUP."""
        self.close_inner()
        with suppress(OSError):
            os.close(self._outer)


async def _ready(add: Callable[..., Any], remove: Callable[[int], Any], file: int) -> None:
    ready = asyncio.Event()
    add(file, ready.set)
    try:
        await ready.wait()
    finally:
        remove(file)
