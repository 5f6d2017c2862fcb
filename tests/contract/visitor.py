"""A client of SSH at the end of the tunnel to a job's node; none of this package's own."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import asyncssh
from websockets.asyncio.client import connect


@asynccontextmanager
async def visiting(
    url: str, *, token: str | None, ca: Path | None, keys: Sequence[asyncssh.SSHKey], user: str = "azureuser"
) -> AsyncIterator[asyncssh.SSHClientConnection]:
    """Connect to a node.

    Args:
        url: The tunnel.
        token: Access token; None for none.
        ca: Certificates to trust; None for the usual ones.
        keys: Private keys to log in with.
        user: User to log in as.
    """
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    tls = ssl.create_default_context(cafile=None if ca is None else str(ca))
    async with connect(url, ssl=tls, additional_headers=headers, proxy=None) as websocket:
        ours, theirs = socket.socketpair()
        reader, writer = await asyncio.open_unix_connection(sock=ours)

        async def up() -> None:
            while data := await reader.read(4096):
                await websocket.send(data)

        async def down() -> None:
            async for message in websocket:
                assert isinstance(message, bytes)
                writer.write(message)
            writer.close()

        pumps = [asyncio.ensure_future(up()), asyncio.ensure_future(down())]
        try:
            async with asyncssh.connect(
                "a-job",
                sock=theirs,
                username=user,
                client_keys=list(keys),
                known_hosts=None,
                config=None,
                agent_path=None,
            ) as connection:
                yield connection
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
