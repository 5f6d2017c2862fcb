"""The look-up of the user at the other end of a connection, in tables that are handed in and in the kernel's own."""

from __future__ import annotations

import os
import socket
import sys

import pytest

from zenml_azureml.emulator.http.peers import Peers, owners

HEADER = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
HERE = ("127.0.0.1", 0x28CB)
THERE = ("127.0.0.1", 0xD431)

pytestmark = pytest.mark.skipif(sys.byteorder != "little", reason="the tables below are those of x86 and ARM")


def row(local: str, remote: str, uid: int, inode: int = 4711, state: str = "01") -> str:
    tail = f"{state} 00000000:00000000 00:00000000 00000000 {uid:5} 0 {inode} 1 0000000000000000 20 4 30 10 -1"
    return f"   1: {local} {remote} {tail}\n"


def tables(tcp: str = "", tcp6: str = "") -> dict[str, str]:
    return {"/proc/net/tcp": HEADER + tcp, "/proc/net/tcp6": HEADER + tcp6}


def refusal(read: dict[str, str], *, uid: int = 1000, jobs: frozenset[int] = frozenset()) -> str | None:
    peers = Peers(lambda inode: inode in jobs, uid=uid, read=lambda name: read.get(name, ""))
    return peers.refusal(THERE, HERE)


IPV4 = ("0100007F:D431", "0100007F:28CB")
MAPPED = ("0000000000000000FFFF00000100007F:D431", "0000000000000000FFFF00000100007F:28CB")


def test_another_user_is_refused_with_a_sentence() -> None:
    refused = refusal(tables(row(*IPV4, uid=1001)))

    assert refused is not None
    assert "user 1000" in refused
    assert "refuses user 1001" in refused


def test_a_connection_of_an_ipv6_socket_to_an_ipv4_address_is_found() -> None:
    assert refusal(tables(tcp6=row(*MAPPED, uid=1001))) is not None
    assert refusal(tables(tcp6=row(*MAPPED, uid=1000))) is None


@pytest.mark.parametrize("uid", [1000, 0])
def test_the_own_user_and_root_go_on_to_the_credential(uid: int) -> None:
    assert refusal(tables(row(*IPV4, uid=uid))) is None


def test_a_process_of_a_job_counts_as_the_user() -> None:
    table = tables(row(*IPV4, uid=1001, inode=77))

    assert refusal(table, jobs=frozenset({77})) is None
    assert refusal(table, jobs=frozenset({78})) is not None


def test_of_several_users_none_hides_another() -> None:
    assert refusal(tables(row(*IPV4, uid=1000) + row(*IPV4, uid=1001))) is not None


@pytest.mark.parametrize(
    "read",
    [
        {},
        tables(),
        tables(row(IPV4[1], IPV4[0], uid=1001)),  # this end's own row
        tables(row("0100007F:D432", IPV4[1], uid=1001)),  # another port
        tables(row(*IPV4, uid=0, inode=0)),  # the process has closed it: no user any more
        tables("   1: garbage\n\n"),
        tables(row(*IPV4, uid=1001).replace(" 1001 ", " many ")),
    ],
    ids=range(7),
)
def test_the_credential_decides_if_the_user_cannot_be_looked_up(read: dict[str, str]) -> None:
    assert refusal(read) is None
    peers = Peers(uid=1000, read=lambda name: read.get(name, ""))
    assert not peers.is_found(THERE, HERE)


@pytest.mark.parametrize("client", [None, "", ("192.0.2.1", 5), ("no address", 5), ("127.0.0.1",)])
def test_an_address_that_is_not_of_this_machine_is_not_looked_up(client: object) -> None:
    def read(_name: str) -> str:
        raise AssertionError("a table was read")

    assert Peers(uid=1000, read=read).refusal(client, HERE) is None


@pytest.mark.skipif(not os.path.exists("/proc/net/tcp"), reason="needs Linux")  # noqa: PTH110 - of the kernel
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_the_kernels_own_tables_show_this_process(family: socket.AddressFamily) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.socket(family) as client:
        port = listening.getsockname()[1]
        try:
            client.connect(("127.0.0.1" if family == socket.AF_INET else "::ffff:127.0.0.1", port))
        except OSError as error:
            pytest.skip(f"no IPv6 here: {error}")
        server, name = listening.accept()
        with server:
            paths = ("/proc/net/tcp", "/proc/net/tcp6")
            found = owners(name, server.getsockname(), [open(path).read() for path in paths])  # noqa: SIM115, PTH123

            (owner,) = found
            assert (owner.uid, owner.inode) == (os.geteuid(), os.fstat(client.fileno()).st_ino)
            assert Peers().is_found(name, server.getsockname())
            assert Peers().refusal(name, server.getsockname()) is None
            stranger = Peers(uid=os.geteuid() + 1)
            assert (stranger.refusal(name, server.getsockname()) is None) == (os.geteuid() == 0)
