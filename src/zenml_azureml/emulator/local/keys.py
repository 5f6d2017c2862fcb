"""The secrets of a state folder, beside those of its application: random, and gone with the folder."""

from __future__ import annotations

import hmac
import json
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from zenml_azureml.emulator.local.private_files import write_private

_FILE = "keys.json"
_CURL_FILE = "curl.conf"
_NAMES = ("admin", "machine", "proxy")


@dataclass(frozen=True)
class Keys:
    """The secrets of a state folder.

    Attributes:
        admin: Key of the emulator's own interface (`/_emulator/`).
        machine: Key with which a program of the user gets tokens of the managed identity.
        proxy: Key of the proxy.
    """

    admin: str = field(repr=False)
    machine: str = field(repr=False)
    proxy: str = field(repr=False)

    @property
    def admin_headers(self) -> dict[str, str]:
        """The header that a request to the emulator's own interface needs."""
        return {"Authorization": f"Bearer {self.admin}"}


def is_same_secret(given: str, expected: str) -> bool:
    """True if a secret that a client has sent is the expected one; takes as long for any wrong one.

    Args:
        given: As aiohttp decodes headers: bytes that are no UTF-8 stand as surrogates.
        expected: The secret.
    """
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), expected.encode())


def stored_keys(folder: Path) -> Keys:
    """Return the secrets of a state folder; make those that it does not have yet.

    Args:
        folder: The state folder; it exists.
    """
    kept = _kept(folder)
    values = {name: kept.get(name) or secrets.token_urlsafe(32) for name in _NAMES}
    if values != kept:
        write_private(folder / _FILE, json.dumps(values).encode())
    return Keys(**values)


def found_keys(folder: Path) -> Keys | None:
    """Return the secrets of a state folder; None if no emulator has created them yet, e.g. an older version.

    Args:
        folder: The state folder.
    """
    kept = _kept(folder)
    return Keys(**kept) if kept.keys() == set(_NAMES) else None


def _kept(folder: Path) -> dict[str, str]:
    try:
        kept = json.loads((folder / _FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {name: kept[name] for name in _NAMES if isinstance(kept.get(name), str)} if isinstance(kept, dict) else {}


def curl_file(folder: Path) -> Path:
    """Return the path of the file from `write_curl_file`.

    Args:
        folder: The state folder.
    """
    return folder / _CURL_FILE


def write_curl_file(folder: Path, keys: Keys, ca_file: Path) -> None:
    """Write what `curl --config` needs to reach the emulator's own interface.

    A file, because all users of a machine can read the arguments of a command.

    Args:
        folder: The state folder.
        keys: Its secrets.
        ca_file: The certificate to trust.
    """
    trusted = str(ca_file).replace("\\", "\\\\").replace('"', '\\"')
    (authorization,) = keys.admin_headers.values()
    lines = [
        "# For `curl --config`: the emulator's own interface (/_emulator/). Keep it secret.",
        f'cacert = "{trusted}"',
        f'header = "Authorization: {authorization}"',
        'header = "Content-Type: application/json"',
        'noproxy = "127.0.0.1"',
    ]
    write_private(curl_file(folder), "\n".join([*lines, ""]).encode())
