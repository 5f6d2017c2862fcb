"""The addresses at which an emulator listens, and those that it advertises."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zenml_azureml.emulator.http.access import AnsweredHosts
from zenml_azureml.emulator.local.address import AddressError, Advertised, is_loopback, reachable_here

LISTENING, VAULT = 10443, 10445


@pytest.mark.parametrize(
    ("url", "advertised"),
    [
        ("https://emulator:10443", Advertised("emulator", 10443)),
        ("https://Emulator.Example.com/", Advertised("emulator.example.com", 443)),
        ("https://10.1.2.3:8443", Advertised("10.1.2.3", 8443)),
        ("https://[fd00::1]:8443", Advertised("[fd00::1]", 8443)),
    ],
)
def test_an_advertised_url_has_a_host_and_a_port(url: str, advertised: Advertised) -> None:
    assert Advertised.parse(url) == advertised


@pytest.mark.parametrize(
    "url",
    [
        *("", "emulator:10443", "http://emulator:10443", "https://", "https://emulator:port", "https://emulator:99999"),
        *("https://emulator/path", "https://emulator?a=b", "https://emulator#top", "https://me:hush@emulator"),
    ],
)
def test_another_kind_of_url_is_not_advertised(url: str) -> None:
    with pytest.raises(AddressError):
        Advertised.parse(url)


@given(st.from_regex(r"[a-z][a-z0-9]{0,20}(\.[a-z][a-z0-9]{0,9}){0,3}", fullmatch=True), st.integers(1, 65535))
def test_the_url_of_an_advertised_address_is_the_same_address(host: str, port: int) -> None:
    assert Advertised.parse(Advertised(host, port).url) == Advertised(host, port)


@pytest.mark.parametrize(
    ("listen", "host", "alone"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("0.0.0.0", "127.0.0.1", False),
        ("10.1.2.3", "10.1.2.3", False),
        ("::1", "[::1]", True),
        ("::", "[::1]", False),
    ],
)
def test_a_program_of_this_machine_reaches_what_listens(listen: str, host: str, *, alone: bool) -> None:
    assert reachable_here(listen) == host
    assert is_loopback(listen) is alone


@pytest.mark.parametrize(
    ("host", "port", "listening", "answered"),
    [
        ("emulator", "8443", LISTENING, True),
        ("emulator", str(VAULT), VAULT, True),
        ("127.0.0.1", str(LISTENING), LISTENING, True),
        ("localhost", str(VAULT), VAULT, True),
        ("emulator", str(LISTENING), LISTENING, False),
        ("emulator", "", LISTENING, False),
        ("emulator", "8443", VAULT, False),
        ("emulator.attacker.example", "8443", LISTENING, False),
        ("127.0.0.1", "8443", LISTENING, False),
        ("10.1.2.3", str(LISTENING), LISTENING, False),
    ],
)
def test_the_emulator_answers_for_its_own_hosts_only(host: str, port: str, listening: int, *, answered: bool) -> None:
    hosts = AnsweredHosts(advertised=Advertised("emulator", 8443), port=LISTENING)

    assert hosts.has(host, port, listening) is answered


def test_a_host_header_without_a_port_means_the_port_of_https() -> None:
    assert AnsweredHosts(advertised=Advertised("emulator", 443), port=LISTENING).has("emulator", "", LISTENING)
