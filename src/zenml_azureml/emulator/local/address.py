"""The addresses of an emulator: what it listens on, and what its answers name."""

from __future__ import annotations

import ipaddress
import socket
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

#: The address that it listens on by default: of this machine alone.
LOOPBACK = "127.0.0.1"

#: Names that always lead to this machine, without a resolver that others can change.
LOOPBACK_NAMES = (LOOPBACK, "localhost", "[::1]")

_HTTPS = 443


class AddressError(ValueError):
    """An address that an emulator cannot have; the message says why."""


@dataclass(frozen=True)
class Advertised:
    """The address at which clients reach an emulator, if it is not where it listens: in a container, or behind one.

    Attributes:
        host: Name or IP address; that of IPv6 in brackets.
        port: Port at that host.
    """

    host: str
    port: int

    @classmethod
    def parse(cls, url: str) -> Advertised:
        """Return the address in a URL.

        Args:
            url: `https://HOST` or `https://HOST:PORT`.

        Raises:
            AddressError: If it is another kind of URL.
        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port or _HTTPS
        except ValueError as error:
            raise AddressError(f"{url[:100]!r} is no URL: {error}.") from None
        beside = parts.path.strip("/") or parts.query or parts.fragment or parts.username is not None
        if parts.scheme != "https" or not host or beside:
            raise AddressError(f"{url[:100]!r} has to be https://HOST or https://HOST:PORT.")
        return cls(f"[{host}]" if ":" in host else host, port)

    @property
    def url(self) -> str:
        """Its URL, without a slash at the end."""
        return url_of(self.host, self.port)


def url_of(host: str, port: int) -> str:
    """Return the URL of a host and a port as clients write it: without the port that HTTPS implies.

    Args:
        host: Name or IP address; that of IPv6 in brackets.
        port: The port.
    """
    return f"https://{host}" if port == _HTTPS else f"https://{host}:{port}"


def listen_on(host: str, port: int, *, prefer: int = 0) -> socket.socket:
    """Return a socket that listens.

    Args:
        host: An IP address; `0.0.0.0` and `::` are all of this machine.
        port: The port; 0 for a free one.
        prefer: The one to take of the free ones, if it is free.

    Raises:
        AddressError: If the host is no IP address.
        OSError: If the port is taken, or the address is not this machine's.
    """
    family = socket.AF_INET6 if _ip_address(host).version == 6 else socket.AF_INET
    if prefer and not port:
        with suppress(OSError):
            return socket.create_server((host, prefer), family=family)
    return socket.create_server((host, port), family=family)


def reachable_here(host: str) -> str:
    """Return the host by which a program of this machine reaches what listens.

    Args:
        host: An IP address that a server listens on.

    Raises:
        AddressError: If it is no IP address.
    """
    address = _ip_address(host)
    if address.is_unspecified:
        return LOOPBACK if address.version == 4 else "[::1]"
    return host if address.version == 4 else f"[{host}]"


def _ip_address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        raise AddressError(f"{host[:100]!r} is no IP address of this machine.") from None


def is_loopback(host: str) -> bool:
    """True if only this machine reaches what listens on it.

    Args:
        host: An IP address.

    Raises:
        AddressError: If it is no IP address.
    """
    return _ip_address(host).is_loopback
