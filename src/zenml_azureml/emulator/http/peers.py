"""The user at the other end of a connection on this machine, as Linux lists it in /proc/net/tcp."""

from __future__ import annotations

import ipaddress
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

_TABLES = ("/proc/net/tcp", "/proc/net/tcp6")

#: Users that are let through to the check of the credential: root can read the state folder anyway, and a container
#: in the network of the machine mostly is root.
_ROOT = 0

Address = tuple[str, int]


@dataclass(frozen=True)
class SocketOwner:
    """The end of a connection.

    Attributes:
        uid: The user that made the socket.
        inode: The socket, as /proc/PID/fd names it.
    """

    uid: int
    inode: int


def read_table(name: str) -> str:
    """Return a table of the kernel's connections; nothing if there is none."""
    try:
        return Path(name).read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""


class Peers:
    """Decides which users may connect.

    Args:
        is_job_socket: True if the socket with that inode may be one of a job.
        uid: The user that the emulator belongs to.
        read: Returns a table of /proc/net by its path.
    """

    def __init__(
        self,
        is_job_socket: Callable[[int], bool] = lambda _inode: False,
        *,
        uid: int | None = None,
        read: Callable[[str], str] = read_table,
    ) -> None:
        self._is_job_socket = is_job_socket
        self._uid = os.geteuid() if uid is None else uid
        self._read = read

    def refusal(self, client: object, server: object) -> str | None:
        """Return why a connection is refused; None if its user may try, or if the user cannot be looked up.

        Args:
            client: Address of the other end, as `socket.getpeername` returns it.
            server: Address of this end, as `socket.getsockname` returns it.
        """
        for owner in self._owners(client, server):
            if owner.uid not in (self._uid, _ROOT) and not self._is_job_socket(owner.inode):
                return (
                    f"This emulator belongs to user {self._uid} of this machine, and refuses user {owner.uid}. "
                    "Start an emulator of your own: zenml-azureml emulator start"
                )
        return None

    def is_found(self, client: object, server: object) -> bool:
        """True if the user of a connection can be looked up.

        Args:
            client: Address of the other end, as `socket.getpeername` returns it.
            server: Address of this end, as `socket.getsockname` returns it.
        """
        return bool(self._owners(client, server))

    def _owners(self, client: object, server: object) -> list[SocketOwner]:
        there, here = _address(client), _address(server)
        if there is None or here is None:
            return []
        return owners(there, here, map(self._read, _TABLES))


def owners(client: Address, server: Address, tables: Iterable[str]) -> list[SocketOwner]:
    """Return who has the client's end of a connection; nothing if the tables do not show it.

    Args:
        client: Address of the other end.
        server: Address of this end.
        tables: The content of /proc/net/tcp and /proc/net/tcp6.
    """
    # A socket for IPv6 can have an IPv4 connection: its row then has the mapped addresses.
    wanted = {(there, here) for there, here in zip(_in_tables(client), _in_tables(server), strict=True)}
    found = []
    for table in tables:
        for line in table.splitlines()[1:]:
            columns = line.split()
            if len(columns) < 10 or (columns[1], columns[2]) not in wanted:
                continue
            # Without an inode the socket belongs to no process any more, and its user reads as root.
            if columns[7].isdecimal() and columns[9].isdecimal() and columns[9] != "0":
                found.append(SocketOwner(int(columns[7]), int(columns[9])))
    return found


def _address(name: object) -> Address | None:
    """Return the address in a socket's name if it is of this machine alone; None for any other."""
    if not isinstance(name, tuple) or len(name) < 2:
        return None
    try:
        host = ipaddress.ip_address(str(name[0]).partition("%")[0])
    except ValueError:
        return None
    mapped = host.ipv4_mapped if isinstance(host, ipaddress.IPv6Address) else None
    host = mapped or host
    return (str(host), int(name[1])) if host.is_loopback else None


def _in_tables(address: Address) -> list[str]:
    """Return an address as the tables write it: words of 4 bytes in the machine's order, all in hexadecimal digits."""
    host = ipaddress.ip_address(address[0])
    forms = [host.packed]
    if isinstance(host, ipaddress.IPv4Address):
        forms.append(bytes(10) + b"\xff\xff" + host.packed)
    return [f"{_words(packed)}:{address[1]:04X}" for packed in forms]


def _words(packed: bytes) -> str:
    words = [packed[start : start + 4] for start in range(0, len(packed), 4)]
    return "".join((word[::-1] if sys.byteorder == "little" else word).hex() for word in words).upper()
