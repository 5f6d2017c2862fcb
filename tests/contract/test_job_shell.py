"""The SSH service of a job: what run history answers about it, and the tunnel to it, with clients of others."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import asyncssh
import psutil
import pytest
from azure.ai.ml import MLClient, command
from azure.ai.ml.entities import SshJobService
from azure.core.exceptions import ResourceNotFoundError
from websockets.exceptions import InvalidStatus

from tests.contract.arm import Arm
from tests.contract.test_job_data import ENVIRONMENT
from tests.contract.visitor import visiting
from tests.contract.waiting import eventually
from zenml_azureml.emulator import Emulator
from zenml_azureml.emulator.services.entra.machine_identities import MachineIdentity

T = TypeVar("T")

KEY = asyncssh.generate_private_key("ssh-ed25519")
PUBLIC = KEY.export_public_key().decode()


class Held:
    """A job that runs until the test ends it, with an SSH service."""

    def __init__(
        self, client: MLClient, bench: Emulator, keys: str = PUBLIC, nodes: Any = None, count: int = 1
    ) -> None:
        self.client, self.bench = client, bench
        made = client.jobs.create_or_update(
            command(
                command="echo kept > file; until [ -e over ]; do sleep 0.05; done",
                environment=ENVIRONMENT,
                environment_variables={"LEARNING_RATE": "0.1"},
                services={"mine": SshJobService(ssh_public_keys=keys, nodes=nodes)},
                instance_count=count,
            )
        )
        self.name = str(made.name)
        eventually(lambda: client.jobs.get(self.name).status == "Running")
        eventually((self.folder / "file").exists)

    @property
    def folder(self) -> Path:
        return self.bench.context.folder / "jobs" / self.name / "exe" / "wd"

    def service(self, node: int = 0) -> Any:
        shown = self.client.jobs.show_services(self.name, node)
        return shown and shown.get("mine")

    def end(self) -> None:
        for folder in (self.folder, self.folder.parents[1] / "node_1" / "exe" / "wd"):
            if folder.exists():
                (folder / "over").touch()
        job = self.bench.context.store.workspaces[0].jobs[self.name]
        eventually(lambda: job.status == "Completed")

    def visit(self, work: Callable[[asyncssh.SSHClientConnection], Awaitable[T]], **different: Any) -> T:
        """What a client of SSH gets that comes through the tunnel."""

        async def run() -> T:
            async with visiting(self.tunnel(), **self.way(**different)) as connection:
                return await work(connection)

        return asyncio.run(asyncio.wait_for(run(), 60))

    def way(self, **different: Any) -> dict[str, Any]:
        """What a client has that is let in, but for what is different."""
        return {"token": Arm(self.bench).token(), "ca": self.bench.ca_file, "keys": [KEY], **different}

    def tunnel(self, node: int = 0) -> str:
        return f"{self.service(node).properties['ProxyEndpoint']}/nbip/v1.0/ws-tcp"


@pytest.fixture(scope="module")
def jobs(bench: Emulator) -> Iterator[list[Held]]:
    """One job for all tests that leave it as it is."""
    found: list[Held] = []
    yield found
    for one in found:
        one.end()


@pytest.fixture
def held(client: MLClient, bench: Emulator, jobs: list[Held]) -> Held:
    if not jobs:
        jobs.append(Held(client, bench))
    jobs[0].client = client
    return jobs[0]


def test_a_service_that_runs_has_the_address_of_its_tunnel(held: Held) -> None:
    service = held.service()

    assert (service.type, service.status, service.error) == ("SSH", "Running", None)
    assert service.properties["ProxyEndpoint"].startswith("wss://")
    assert service.properties["sshPublicKeys"].strip() == PUBLIC.strip()


def test_a_command_has_the_folder_and_the_variables_of_the_job(held: Held) -> None:
    script = 'cat file; echo "$LEARNING_RATE $PWD $AZUREML_RUN_ID"; cat; echo wrong >&2; exit 7'

    done = held.visit(lambda connection: connection.run(script, input="sent"))

    assert done.stdout == f"kept\n0.1 {held.folder.resolve()} {held.name}\nsent"
    assert (done.stderr, done.exit_status) == ("wrong\n", 7)


def test_much_goes_both_ways(held: Held) -> None:
    sent = os.urandom(3_000_000)

    done = held.visit(lambda connection: connection.run("cat", input=sent, encoding=None))

    assert done.stdout == sent


def test_a_shell_at_a_terminal_takes_ctrl_c_and_other_sizes(held: Held) -> None:
    async def type_in(connection: asyncssh.SSHClientConnection) -> tuple[str, int | None]:
        shell = await connection.create_process(term_type="xterm", term_size=(101, 33))
        # One process: a shell that waits for another one may take Ctrl+C for that one's.
        shell.stdin.write(f'{sys.executable} -c "import os, time; print(*os.get_terminal_size()); time.sleep(600)"\n')
        seen = await shell.stdout.readuntil("101 33")
        shell.stdin.write("\x03")
        shell.change_terminal_size(55, 22)
        shell.stdin.write("stty size; tty | cut -c1-5; echo $LEARNING_RATE-$TERM; exit 4\n")
        return seen + await shell.stdout.read(), (await shell.wait()).exit_status

    seen, code = held.visit(type_in)

    assert "22 55" in seen
    assert "/dev/" in seen
    assert "0.1-xterm" in seen
    assert code == 4


def test_signals_of_the_client_reach_its_command(held: Held) -> None:
    async def terminate(connection: asyncssh.SSHClientConnection) -> int | None:
        process = await connection.create_process("trap 'exit 9' TERM; echo ready; while true; do sleep 0.05; done")
        await process.stdout.readuntil("ready")
        process.terminate()
        return (await process.wait()).exit_status

    assert held.visit(terminate) == 9


@pytest.mark.parametrize("terminal", [None, "xterm"], ids=["command", "terminal"])
@pytest.mark.parametrize("hangup", [signal.SIG_DFL, signal.SIG_IGN], ids=["plain", "emulator under nohup"])
def test_a_client_that_leaves_takes_its_command_with_it(
    held: Held, hangup: signal.Handlers, terminal: str | None
) -> None:
    async def leave(connection: asyncssh.SSHClientConnection) -> int:
        process = await connection.create_process("echo $$; exec sleep 600", term_type=terminal)
        return int(await process.stdout.readline())

    before = signal.signal(signal.SIGHUP, hangup)
    try:
        pid = held.visit(leave)

        eventually(lambda: not psutil.pid_exists(pid))
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize(
    "different",
    [
        pytest.param({"keys": [asyncssh.generate_private_key("ssh-ed25519")]}, id="another key"),
        pytest.param({"keys": []}, id="no key"),
        pytest.param({"user": "root"}, id="another user"),
    ],
)
def test_ssh_lets_in_nobody_but_its_user_with_the_key_of_the_job(held: Held, different: dict[str, Any]) -> None:
    with pytest.raises(asyncssh.PermissionDenied):
        held.visit(lambda connection: connection.run("true"), **different)


def _foreign(bench: Emulator) -> str:
    """A token of another principal, which the tenant knows."""
    context = bench.context
    machine = MachineIdentity("11111111-0000-0000-0000-000000000000", "22222222-0000-0000-0000-000000000000", "/x")
    now, hour = context.clock.now(), timedelta(hours=1)
    return context.identity.access_token("https://management.azure.com", now, hour, method="2", machine=machine)


@pytest.mark.parametrize(
    ("token", "status"),
    [
        (lambda _bench: None, 401),
        (lambda _bench: "made up", 401),
        (lambda bench: Arm(bench).token(audience="https://storage.azure.com"), 401),
        (lambda bench: Arm(bench).token(lifetime=-1), 401),
        (_foreign, 403),
    ],
    ids=["none", "made up", "of storage", "expired", "of another principal"],
)
def test_the_tunnel_needs_a_token_of_the_owner(
    held: Held, bench: Emulator, token: Callable[[Emulator], str | None], status: int
) -> None:
    with pytest.raises(InvalidStatus) as refused:
        held.visit(lambda connection: connection.run("true"), token=token(bench))

    assert refused.value.response.status_code == status


def test_no_port_and_no_socket_leads_to_the_server_beside_the_tunnel(held: Held) -> None:
    def listening() -> set[Any]:
        connections = psutil.Process().net_connections("all")
        return {one.laddr for one in connections if one.status == "LISTEN" or isinstance(one.laddr, str)}

    before = listening()

    async def look(connection: asyncssh.SSHClientConnection) -> set[Any]:
        await connection.run("true")
        return listening()

    assert held.visit(look) - before <= {""}, "a pair of sockets has no name"


def test_a_forwarded_port_and_an_agent_are_refused(held: Held) -> None:
    async def forward(connection: asyncssh.SSHClientConnection) -> None:
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.open_connection("127.0.0.1", 22)
        with pytest.raises(asyncssh.ChannelListenError):
            await connection.start_server(lambda *_: None, "127.0.0.1", 0)
        with pytest.raises((asyncssh.ChannelOpenError, asyncssh.Error)):
            await connection.start_sftp_client()

    held.visit(forward)


def test_the_end_of_a_job_ends_its_shells_and_what_they_have_started(client: MLClient, bench: Emulator) -> None:
    held = Held(client, bench)

    async def stay(connection: asyncssh.SSHClientConnection) -> list[int]:
        shell = await connection.create_process("echo $$; nohup setsid sleep 600 >/dev/null 2>&1 & echo $!; sleep 600")
        pids = [int(await shell.stdout.readline()) for _ in range(2)]
        await asyncio.to_thread(held.end)
        await shell.wait()
        return pids

    pids = held.visit(stay)

    eventually(lambda: not any(map(psutil.pid_exists, pids)))
    assert held.service().status == "Stopped"
    assert "ProxyEndpoint" not in held.service().properties


def test_a_tunnel_to_a_job_that_is_over_is_refused(client: MLClient, bench: Emulator) -> None:
    held = Held(client, bench)
    url = held.tunnel()
    held.end()

    async def knock() -> None:
        async with visiting(url, **held.way()):
            pass

    with pytest.raises(InvalidStatus) as refused:
        asyncio.run(knock())
    assert refused.value.response.status_code == 404


def test_a_service_of_all_nodes_leads_to_each_of_them(client: MLClient, bench: Emulator) -> None:
    held = Held(client, bench, nodes="all", count=2)

    async def where(url: str) -> str:
        async with visiting(url, **held.way()) as connection:
            return str((await connection.run("pwd; echo $AZUREML_CR_NODE_RANK", check=True)).stdout)

    assert asyncio.run(where(held.tunnel(1))) == f"{held.folder.resolve().parents[1]}/node_1/exe/wd\n1\n"
    with pytest.raises(ResourceNotFoundError):
        client.jobs.show_services(held.name, 2)
    held.end()


def test_a_service_without_nodes_runs_on_the_first_alone(client: MLClient, bench: Emulator) -> None:
    held = Held(client, bench, count=2)

    assert held.service(1) is None
    held.end()


@pytest.mark.parametrize(("keys", "words"), [("ssh-ed25519 nonsense", "cannot be read"), (" ", "no public keys")])
def test_keys_that_nobody_can_log_in_with_are_an_error_of_the_service(
    client: MLClient, bench: Emulator, keys: str, words: str
) -> None:
    held = Held(client, bench, keys=keys)

    service = held.service()

    assert service.status == "Failed"
    assert words in service.error
    held.end()
