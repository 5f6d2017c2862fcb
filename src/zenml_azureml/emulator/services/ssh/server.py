"""An SSH server on one connection, for one node of a job.

It listens nowhere: the connection is one end of a pair of sockets, the other end of which the tunnel has.
"""

from __future__ import annotations

import asyncio
import socket
from functools import partial

import asyncssh

from zenml_azureml.emulator.runtimes.base import NodeShell
from zenml_azureml.emulator.services.ssh.visitor import visit

#: The user of the shell. Source: Microsoft's own client logs in as that one (Azure/azure-dev, job_connect_ssh.go).
USER = "azureuser"


def keys_problem(public_keys: str) -> str | None:
    """Return the reason why no user can log in with some public keys, as a sentence; None if they are right."""
    if not public_keys.strip():
        return "The SSH service has no public keys."
    try:
        asyncssh.import_authorized_keys(public_keys)
    except ValueError as error:
        return f"The public keys of the SSH service cannot be read: {str(error).rstrip('.')}."
    return None


class _Gate(asyncssh.SSHServer):
    """Lets in one user, with the job's keys.

    Args:
        public_keys: The keys, one a line.
    """

    def __init__(self, public_keys: str) -> None:
        self._keys = asyncssh.import_authorized_keys(public_keys)
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """Note the connection."""
        self._connection = conn

    def begin_auth(self, username: str) -> bool:
        """True: no user comes in without a key. Only one has keys."""
        if username == USER and self._connection is not None:
            self._connection.set_authorized_keys(self._keys)
        return True


async def serve(connection: socket.socket, shell: NodeShell, public_keys: str) -> None:
    """Serve a client until it leaves. Cancelling this ends its shell, too.

    Args:
        connection: The connection.
        shell: The shell that it gets.
        public_keys: The keys that may log in, one a line.
    """
    served = await asyncssh.run_server(
        connection,
        server_factory=partial(_Gate, public_keys),
        # Guess: the key of Azure's server; clients cannot check it, since it is published nowhere.
        server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
        process_factory=partial(visit, shell),
        encoding=None,
        agent_forwarding=False,
        x11_forwarding=False,
        allow_scp=False,
        gss_host=None,
    )
    try:
        await served.wait_closed()
    finally:
        served.abort()
        # The shells of the connection end with its channels.
        await asyncio.shield(served.wait_closed())
