"""What a run knows of its workspace and its credential, and no recording may have. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

#: Claims of tokens that are the same for all users, or say nothing about one.
#: Source: Microsoft, "Access token claims reference".
_OF_NOBODY = frozenset(
    {
        *("aud", "iss", "idp", "ver", "iat", "nbf", "exp", "idtyp", "acr", "acrs", "appidacr", "azpacr", "amr", "scp"),
        *("roles", "wids", "tenant_region_scope", "tenant_ctry", "ctry", "acct", "platf", "signin_state", "typ", "alg"),
    }
)

#: Claims that are kept as names of what they are; the others are references of kind `claim`.
_KINDS = {
    "tid": "tenant",
    "oid": "principal",
    "sub": "principal",
    "appid": "application",
    "azp": "application",
    "ipaddr": "address",
    **dict.fromkeys(
        ("upn", "unique_name", "preferred_username", "email", "name", "given_name", "family_name"), "person"
    ),
}

_WORKSPACE = re.compile(
    r"/subscriptions/(?P<subscription>[^/]+)/resourceGroups/(?P<group>[^/]+)"
    r"/providers/Microsoft\.MachineLearningServices/workspaces/(?P<workspace>[^/]+)/?",
    re.IGNORECASE,
)

#: Shorter texts are only found as whole words, in the same case; all texts of one character occur by chance.
_ANYWHERE = 6


@dataclass(frozen=True)
class Known:
    """Texts that no recording may have.

    Attributes:
        texts: What stands instead, by the text.
        secrets: Texts that are secrets: tokens, and values that tests use as secrets.
    """

    texts: Mapping[str, str] = field(default_factory=dict, repr=False)
    secrets: frozenset[str] = field(default=frozenset(), repr=False)

    def with_secrets(self, *more: str) -> Known:
        """Return the same with further secrets."""
        return Known(self.texts, self.secrets | set(more))

    def patterns(self) -> list[tuple[re.Pattern[str], str]]:
        """Return a pattern for each text, the longest first, and what stands instead."""
        instead = {**self.texts, **dict.fromkeys(self.secrets, "<secret>")}
        return [(_pattern(text), instead[text]) for text in sorted(instead, key=len, reverse=True) if len(text) > 1]


def of_run(
    workspace_id: str, base_url: str, claims: Mapping[str, Any], *, tokens: Iterable[str] = (), run: str = ""
) -> Known:
    """Return what a run knows.

    Args:
        workspace_id: ARM id of the workspace.
        base_url: Address of Resource Manager.
        claims: The claims of the credential's token.
        tokens: Its tokens.
        run: The part of names that is different in each run.
    """
    texts = {value: f"<{kind}>" for kind, value in _claimed(claims)}
    found = _WORKSPACE.fullmatch(workspace_id)
    if found is None:
        raise ValueError(f"This is no ARM id of a workspace: {workspace_id!r}.")
    texts |= {found[name]: f"<{name}>" for name in ("subscription", "group", "workspace")}
    if run:
        texts[run] = "run"
    if base_url != "https://management.azure.com":
        texts[base_url] = "https://management.azure.com"
        texts[urlsplit(base_url).netloc] = "management.azure.com"
    return Known(texts, frozenset(tokens))


def _claimed(claims: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """Yield kind and value of each claim about a person, an application or a tenant."""
    for name, value in claims.items():
        if name in _OF_NOBODY or (name.startswith("xms_") and name not in ("xms_mirid", "xms_az_rid")):
            continue
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str) and len(text) > 1:
                yield _KINDS.get(name, "claim"), text


def _pattern(text: str) -> re.Pattern[str]:
    if len(text) >= _ANYWHERE:
        return re.compile(re.escape(text), re.IGNORECASE)
    return re.compile(rf"(?<![A-Za-z0-9]){re.escape(text)}(?![A-Za-z0-9])")
