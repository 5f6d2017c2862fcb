"""ssh's `ProxyCommand`: connects to a socket and hands the connection to ssh, by `ProxyUseFdpass`.

Runs as a program of its own, `python -I -S ssh_connect.py SOCKET`, standard library only. ssh itself then reads and
writes the connection.
"""

from __future__ import annotations

import socket
import sys


def main(address: str) -> None:
    """Connect to the socket, and send the connection to the other end of stdout, which is ssh."""
    with socket.socket(socket.AF_UNIX) as connection, socket.socket(fileno=sys.stdout.fileno()) as ssh:
        connection.connect(address)
        socket.send_fds(ssh, [b"\0"], [connection.fileno()])


if __name__ == "__main__":
    main(sys.argv[1])
