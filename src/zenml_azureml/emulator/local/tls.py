"""The emulator's own certificate authority, and who to trust to reach it."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import certifi
import trustme

from zenml_azureml.emulator.local.private_files import write_private
from zenml_azureml.emulator.local.state_folder import refusing_damage

_NAMES = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Certificates:
    """Certificates and keys for TLS of a server and its clients.

    Attributes:
        ca_file: The CA's certificate alone, PEM.
        ca_bundle: certifi's certificates and the CA's, PEM: trusts the emulator and public hosts.
        server: The server's side, ready to use.
    """

    ca_file: Path
    ca_bundle: Path
    server: ssl.SSLContext


def certificates(folder: Path, further_names: Sequence[str] = ()) -> Certificates:
    """Return the certificates in `folder`; create them once, so that clients keep trusting the CA.

    Args:
        folder: Existing folder for the files.
        further_names: Hosts that the server answers for beside its own address; `*.` stands for any subdomain.

    Raises:
        StateFolderError: If the files of the CA are damaged.
    """
    ca_file, ca_key, ca_bundle = folder / "ca.pem", folder / "ca.key", folder / "ca-bundle.pem"
    if ca_key.exists():
        with refusing_damage(ca_file, ca_key):
            ca = trustme.CA.from_pem(ca_file.read_bytes(), ca_key.read_bytes())
    else:
        ca = trustme.CA(organization_name="zenml-azureml emulator")
        write_private(ca_file, ca.cert_pem.bytes())
        write_private(ca_key, ca.private_key_pem.bytes())
    # Written at each start: certifi's part of it is updated with the package.
    write_private(ca_bundle, Path(certifi.where()).read_bytes() + b"\n" + ca.cert_pem.bytes())
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(*dict.fromkeys((*_NAMES, *further_names))).configure_cert(server)
    return Certificates(ca_file, ca_bundle, server)
