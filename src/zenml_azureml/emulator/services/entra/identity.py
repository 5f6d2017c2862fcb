"""The emulator's one tenant of Microsoft Entra, with one application in it: what it signs, and what it accepts."""

from __future__ import annotations

import hmac
import json
import secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Literal

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from zenml_azureml.emulator.local.private_files import write_private
from zenml_azureml.emulator.local.state_folder import refusing_damage
from zenml_azureml.emulator.services.entra.machine_identities import MachineIdentity

#: Audience of the assertions that stand in for a secret, as Microsoft Entra demands it.
EXCHANGE_AUDIENCE = "api://AzureADTokenExchange"

_ALGORITHM = "RS256"
_NAMES_FILE = "identity.json"


#: How Azure Resource Manager answers a token that was revoked (see `bearer.py`).
RevokedAnswer = Literal["insufficient_claims", "session_revoked", "invalid_token", "none"]


class InvalidTokenError(Exception):
    """A token without this emulator's signature, or no token at all."""


@dataclass(frozen=True)
class Revocation:
    """The end of a token before its time.

    Attributes:
        at: Time of its revocation.
        answer: Answer of Azure Resource Manager to it from then on.
    """

    at: datetime
    answer: RevokedAnswer


@dataclass
class Identity:
    """The tenant, its application, and the key that signs tokens.

    Thread-safe as far as tests need it: tokens may be issued on any thread.

    Attributes:
        tenant_id: Of the tenant.
        client_id: Of the application.
        object_id: Of the application's service principal.
        client_secret: With which it signs in.
        expired_secrets: With which it signed in before; Microsoft Entra still knows them as its own.
        federated_token_file: Holds an assertion with which it signs in too.
    """

    tenant_id: str
    client_id: str
    object_id: str
    client_secret: str = field(repr=False)
    expired_secrets: list[str] = field(repr=False)
    federated_token_file: Path
    _folder: Path = field(repr=False)
    _key: rsa.RSAPrivateKey = field(repr=False)
    # By `uti`, which is a token's own id.
    _issued: set[str] = field(default_factory=set, repr=False)
    _revoked: dict[str, Revocation] = field(default_factory=dict, repr=False)
    # By token: each comes with many requests, and its signature stays right.
    _verified: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)

    @property
    def key_id(self) -> str:
        """`kid` of the key."""
        return uuid.uuid5(uuid.UUID(self.tenant_id), self.client_id).hex

    def issuer(self) -> str:
        """`iss` of access tokens."""
        return f"https://sts.windows.net/{self.tenant_id}/"

    def public_key(self) -> dict[str, Any]:
        """Return the signing key's public half as a JSON web key."""
        key = jwt.algorithms.RSAAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        return {**key, "use": "sig", "kid": self.key_id, "issuer": self.issuer()}

    def access_token(
        self,
        audience: str,
        now: datetime,
        lifetime: timedelta,
        *,
        method: str,
        takes_challenges: bool = False,
        machine: MachineIdentity | None = None,
    ) -> str:
        """Return a signed access token.

        Args:
            audience: Its audience, e.g. `https://management.azure.com`.
            now: Start of its lifetime.
            lifetime: Its lifetime.
            method: Sign-in of the application: `1` by secret, `2` by assertion.
            takes_challenges: True if its client supports claims challenges.
            machine: The managed identity that it is for; None for the application.
        """
        claims: dict[str, Any] = {
            "aud": audience,
            "iss": self.issuer(),
            "iat": now,
            "nbf": now,
            "exp": now + lifetime,
            "appid": self.client_id,
            "appidacr": method,
            "idp": self.issuer(),
            "idtyp": "app",
            "oid": self.object_id,
            "sub": self.object_id,
            "tid": self.tenant_id,
            "uti": secrets.token_urlsafe(16),
            "ver": "1.0",
        }
        if machine is not None:
            claims |= {"appid": machine.client_id, "oid": machine.object_id, "sub": machine.object_id}
            claims["xms_mirid"] = machine.resource_id
        if takes_challenges:
            claims["xms_cc"] = ["CP1"]  # quoted: Azure/azure-cli#23635
        self._issued.add(claims["uti"])
        return self._sign(claims)

    def revoke_tokens(self, now: datetime, answer: RevokedAnswer) -> int:
        """Revoke every access token that was issued since the start and is not revoked yet.

        Args:
            now: The time.
            answer: Answer of Azure Resource Manager to them from now on.

        Returns:
            The number of revoked tokens.
        """
        issued, self._issued = self._issued, set()
        self._revoked.update(dict.fromkeys(issued, Revocation(now, answer)))
        return len(issued)

    def revocation(self, claims: dict[str, Any]) -> Revocation | None:
        """Return the revocation of a token with these claims; None if it was not revoked."""
        return self._revoked.get(str(claims.get("uti")))

    def is_secret(self, secret: str) -> bool:
        """True if it is the application's secret."""
        return hmac.compare_digest(secret.encode(), self.client_secret.encode())

    def is_expired_secret(self, secret: str) -> bool:
        """True if it was the application's secret, and has expired."""
        return any(hmac.compare_digest(secret.encode(), old.encode()) for old in self.expired_secrets)

    def rotate_secret(self, *, keep_expired: bool) -> None:
        """Give the application a new secret in place of its present one. Tokens that it has stay valid.

        Args:
            keep_expired: True to keep the current one as expired; False to delete it.
        """
        if keep_expired:
            self.expired_secrets.append(self.client_secret)
        self.client_secret = secrets.token_urlsafe(30)
        names = ("tenant_id", "client_id", "object_id", "client_secret", "expired_secrets")
        _write_names(self._folder, {name: getattr(self, name) for name in names})

    def is_assertion(self, assertion: str) -> bool:
        """True if it is an assertion like that in `federated_token_file`."""
        try:
            claims = self.claims(assertion)
        except InvalidTokenError:
            return False
        return claims.get("aud") == EXCHANGE_AUDIENCE and claims.get("sub") == self.client_id

    def claims(self, token: str) -> dict[str, Any]:
        """Return the claims of a token that was signed here; the caller checks if it is still valid.

        Raises:
            InvalidTokenError: For any other text.
        """
        options: Any = {"verify_aud": False, "verify_exp": False, "verify_nbf": False, "verify_iat": False}
        if token not in self._verified:
            try:
                claims = jwt.decode(token, self._key.public_key(), algorithms=[_ALGORITHM], options=options)
            except jwt.InvalidTokenError as error:
                raise InvalidTokenError(str(error)) from error
            self._verified[token] = claims
        return self._verified[token]

    def _sign(self, claims: dict[str, Any]) -> str:
        headers = {"kid": self.key_id, "x5t": self.key_id}
        return jwt.encode(claims, self._key, algorithm=_ALGORITHM, headers=headers)


def identity(folder: Path) -> Identity:
    """Return the identity in `folder`; create it once, so that configurations with it keep working.

    Args:
        folder: Existing folder for it.

    Raises:
        StateFolderError: If its files are damaged.
    """
    key_file, names_file = folder / "token.key", folder / _NAMES_FILE
    if not names_file.exists():
        made = {name: str(uuid.uuid4()) for name in ("tenant_id", "client_id", "object_id")}
        key = new_key()
        write_private(key_file, _as_pem(key))
        _write_names(folder, {**made, "client_secret": secrets.token_urlsafe(30)})
    else:
        with refusing_damage(key_file):
            key = _stored_key(key_file)
    token_file = folder / "federated-token"
    with refusing_damage(names_file):
        names = {"expired_secrets": [], **stored_names(folder)}
        found = Identity(**names, federated_token_file=token_file, _folder=folder, _key=key)
    now = datetime.now(timezone.utc)
    # Without an end: nothing here would renew the file of an emulator that runs for days.
    assertion = {"iss": found.issuer(), "aud": EXCHANGE_AUDIENCE, "sub": found.client_id, "iat": now}
    write_private(token_file, found._sign(assertion).encode())
    return found


def stored_names(folder: Path) -> dict[str, Any]:
    """Return the ids and secrets of the identity in `folder`, as its attributes are called.

    Args:
        folder: Folder for it.
    """
    names: dict[str, Any] = json.loads((folder / _NAMES_FILE).read_text(encoding="utf-8"))
    return names


def _write_names(folder: Path, names: Mapping[str, Any]) -> None:
    write_private(folder / _NAMES_FILE, json.dumps(names).encode())


def new_key() -> rsa.RSAPrivateKey:
    """Return a new key to sign tokens with, of the size that Microsoft Entra uses."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _as_pem(key: rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _stored_key(file: Path) -> rsa.RSAPrivateKey:
    key = serialization.load_pem_private_key(file.read_bytes(), password=None)
    assert isinstance(key, rsa.RSAPrivateKey)  # noqa: S101 - we wrote it
    return key
