"""Detection of secrets in texts by their shape: tokens of known services, keys, assignments. Pure.

The services document these shapes of their tokens, so that scanners can find them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from zenml_azureml.secrets.addresses import secrets_in_addresses
from zenml_azureml.secrets.names import means_secret, says_secret

#: Patterns of tokens. If one begins like another, the longer one comes first.
_TOKENS: Final = (
    # Code and packages
    r"gh[pousr]_[A-Za-z0-9]{16,}",
    r"github_pat_\w{16,}",
    r"gl(?:pat|dt|rt|cbt|ptt|ft|soat|imt|agent|oas|wt|ffct)-[\w-]{16,}",
    r"npm_[A-Za-z0-9]{20,}",
    r"pypi-[\w-]{16,}",
    r"rubygems_[a-f0-9]{40,}",
    r"dckr_(?:pat|oat)_[\w-]{16,}",
    r"ATATT3[\w=-]{20,}|ATCTT3[\w=-]{20,}|ATBB[A-Za-z0-9]{24,}",
    r"sq[puac]_[a-f0-9]{40}",
    # Clouds
    r"(?:A3T[A-Z0-9]|AKIA|ASIA|ABIA|ACCA|AGPA|AIDA|AROA|AIPA|ANPA|ANVA)[A-Z0-9]{16}",
    r"AIza[\w-]{35}",
    r"ya29\.[\w-]{16,}",
    r"GOCSPX-[\w-]{20,}",
    r"[\w~.-]{3}\dQ~[\w~.-]{31,34}",
    r"[A-Za-z0-9]{52}JQQJ9(?:9|D|H)[A-Za-z0-9][A-L][A-Za-z0-9]{16}",
    r"(?<!sha512-)[A-Za-z0-9+/]{86}==",
    r"[A-Za-z0-9+/]{20,120}(?:\+AStA|\+ASbA|\+ARmA|\+AEhA|AzCa|AzSe|AzFu|ACDb|APIM)[A-Za-z0-9+/]{4,}={0,2}",
    r"[A-Za-z0-9]{76}AZDO[A-Za-z0-9]{4}",
    r"dapi[a-f0-9]{32}(?:-\d)?",
    r"do[por]_v1_[a-f0-9]{32,}",
    r"LTAI[A-Za-z0-9]{16,}|AKID[A-Za-z0-9]{28,}",
    r"hv[sbr]\.[\w-]{16,}|s\.[A-Za-z0-9]{24}",
    r"pul-[a-f0-9]{40}",
    r"[A-Za-z0-9]{14}\.atlasv1\.[\w=-]{40,}",
    r"ops_eyJ[\w=+/-]{40,}",
    # Models and experiments
    r"sk-(?:proj|svcacct|admin|ant|or|lf)-[\w-]{12,}|sk-[\w-]{20,}",
    r"hf_[A-Za-z0-9]{20,}|api_org_[A-Za-z0-9]{20,}",
    r"wandb_v\d_[\w-]{16,}|local-[a-f0-9]{40}",
    r"nvapi-[\w-]{20,}",
    r"gsk_[A-Za-z0-9]{20,}",
    r"r8_[A-Za-z0-9]{30,}",
    r"pplx-[A-Za-z0-9]{30,}|xai-[A-Za-z0-9]{40,}|tvly-[\w-]{20,}",
    r"lsv2_(?:pt|sk)_[\w-]{20,}|pk-lf-[\w-]{20,}",
    r"ZEN[A-Z]*KEY_[\w+/=-]{16,}",
    # Messages, payments, operations
    r"xox[a-z](?:\.xox[a-z])?-[\w-]{10,}|xapp-\d-[\w-]{10,}",
    r"\d{8,10}:[A-Za-z0-9_-]{35}",
    r"[MNO][A-Za-z\d_-]{23,27}\.[\w-]{6}\.[\w-]{27,}",
    r"(?:sk|rk|pk)_(?:live|test|prod)_[A-Za-z0-9]{10,}|whsec_[A-Za-z0-9+/=]{16,}",
    r"SG\.[\w-]{16,}\.[\w-]{16,}",
    r"key-[a-f0-9]{32}|SK[a-f0-9]{32}|xkeysib-[a-f0-9]{40,}|re_[A-Za-z0-9]{8}_[A-Za-z0-9]{16,}",
    r"shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}",
    r"sq0(?:atp|csp|idp)-[\w-]{20,}|EAAA[\w-]{50,}",
    r"gl(?:sa|c)_[\w=+/-]{20,}|NRAK-[A-Z0-9]{27}|PMAK-[a-f0-9]{24}-[a-f0-9]{34}",
    r"sntry[su]_[\w=+/-]{20,}|ntn_[A-Za-z0-9]{30,}|secret_[A-Za-z0-9]{43}|lin_(?:api|oauth)_[A-Za-z0-9]{30,}",
    r"figd_[\w-]{30,}|sbp_[a-f0-9]{40}|tskey-[\w-]{16,}|dt0c01\.[A-Z0-9]{24}\.[A-Z0-9]{60,}|CFPAT-[\w-]{40,}",
    r"pat[A-Za-z0-9]{14}\.[a-f0-9]{64}|p8e-[a-z0-9]{32}|A3-[A-Z0-9]{6}-[A-Z0-9]{6}(?:-[A-Z0-9]{5}){3,4}",
    # In general: JSON web tokens, JSON in base64, hashes of passwords
    r"eyJ[\w-]{8,}\.[\w-]{3,}\.[\w-]*(?:\.[\w-]*){0,2}",
    r"eyJ[A-Za-z0-9+/_-]{40,}={0,2}",
    r"\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}|\$(?:5|6|y)\$[./A-Za-z0-9$]{20,}",
)
#: Patterns of private keys, with everything that follows.
_PRIVATE_KEYS: Final = (
    r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----"
    r"(?:.*?-----END (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----|.*)",
    r"PuTTY-User-Key-File-\d:.*",
    r"AGE-SECRET-KEY-1[A-Z0-9]{20,}",
)
#: Public text that looks random.
_PUBLIC: Final = re.compile(
    r"(?:sk-)?(?:ssh|ecdsa)-[\w@.-]+ AAAA[A-Za-z0-9+/]+={0,2}"
    r"|-----BEGIN (?:CERTIFICATE|PUBLIC KEY)-----.*?-----END (?:CERTIFICATE|PUBLIC KEY)-----",
    re.DOTALL,
)
_SIGN_IN: Final = re.compile(r"\b(?:Bearer|Basic|Digest)\s+([\w+/.=~-]{12,})", re.IGNORECASE)
#: `NAME=VALUE`, `--name=value`, `"name": "value"`, `Name=Value;` of connection strings.
_ASSIGNMENT: Final = re.compile(
    r"""(?P<name>[A-Za-z][\w. -]{0,60}?)["']?(?:=|["']\s*:|:\s*["'])\s*["']?(?P<value>[^\s;&"',{}<>]+)"""
)
#: `--name value`, as in commands.
_OPTION: Final = re.compile(r"(?<![\w-])--?(?P<name>[A-Za-z][\w-]{1,60})\s+[\"']?(?P<value>[^\s\"'-][^\s\"']*)")
#: Harmless values of assignments: counts, switches, files, and expansions of the shell.
_NO_VALUE: Final = re.compile(
    r"\d{1,6}|true|false|yes|no|on|off|none|null|auto|\.{0,2}/[\w./-]*|\$.*|%\w+%|\W+|REDACTED|x{3,}", re.IGNORECASE
)

Span = tuple[int, int]


def secrets_in(text: str) -> list[Span]:
    """Return the positions in a text of what certainly is a secret, in order, without overlaps.

    Args:
        text: Any text, e.g. a value, a command, a URL, a message.
    """
    if len(text) < 8 and "=" not in text:
        return []  # no shape is shorter
    text = _PUBLIC.sub(lambda match: " " * len(match[0]), text)
    found = [*_tokens(text), *secrets_in_addresses(text), *_assigned(text)]
    return _merged(found)


def _tokens(text: str) -> Iterator[Span]:
    for pattern in _patterns():
        for match in pattern.finditer(text):
            yield match.span()
    for match in _SIGN_IN.finditer(text):
        yield match.span(1)


def _assigned(text: str) -> Iterator[Span]:
    if "=" in text or ":" in text:
        for match in _ASSIGNMENT.finditer(text):
            # If a sentence precedes the assignment, only its last word is the name.
            name = match["name"].rpartition(" ")[2]
            whole = match["name"] if ";" in text else name
            if _is_of_secret(whole, match["value"]):
                yield match.span("value")
    if "-" in text:
        for match in _OPTION.finditer(text):
            if _is_of_secret(match["name"], match["value"]):
                yield match.span("value")


def _is_of_secret(name: str, value: str) -> bool:
    if _NO_VALUE.fullmatch(value) or value.startswith("{"):
        return False
    return means_secret(name) or (name.lower() in ("sig", "signature", "pwd") and says_secret(name))


def _merged(spans: list[Span]) -> list[Span]:
    merged: list[Span] = []
    for begin, end in sorted(spans):
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        elif end > begin:
            merged.append((begin, end))
    return merged


@lru_cache(maxsize=1)
def _patterns() -> tuple[re.Pattern[str], ...]:
    # Compiled at the first use, so that importing the settings stays fast.
    tokens = rf"(?<![A-Za-z0-9])(?:{'|'.join(_TOKENS)})"
    return re.compile(tokens), re.compile("|".join(_PRIVATE_KEYS), re.DOTALL)
