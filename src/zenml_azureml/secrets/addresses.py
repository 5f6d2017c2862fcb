"""Detection of secrets in URLs: in the user, in the query, or in the path. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from zenml_azureml.secrets.names import says_secret
from zenml_azureml.secrets.randomness import has_random_part, is_uuid

_ADDRESS: Final = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#\s\"'<>]*)(?P<path>[^?#\s\"'<>]*)"
    r"(?P<query>\?[^#\s\"'<>]*)?(?P<fragment>#[^\s\"'<>]*)?"
)
#: Hosts of URLs whose path alone gives access; a `.` at the beginning stands for any subdomain.
_HOOK_HOSTS: Final = (
    *("hooks.slack.com", "hooks.slack-gov.com", ".webhook.office.com", ".logic.azure.com", ".azure-apihub.net"),
    *(".api.powerplatform.com", "chat.googleapis.com", "hooks.zapier.com", "maker.ifttt.com", "api.telegram.org"),
    *("hc-ping.com", "webhook.site", ".m.pipedream.net", "open.feishu.cn", "open.larksuite.com", "hook.make.com"),
    *("hooks.airtable.com", "alert.victorops.com", "hooks.chime.aws", "ntfy.sh", ".hook.eu1.make.com", "cronitor.link"),
)
#: Segments that precede a secret in a path: `/api/webhooks/ID/TOKEN`, `/hooks/KEY`, `/bot123:ABC/sendMessage`.
_HOOK_PATH: Final = re.compile(
    r"/(?:[\w-]*web-?hooks?[\w-]*|incoming-?webhook|hooks?|integrations?|bot\d+:[\w-]+|triggers?|ingest)(?=/|$)", re.I
)
#: Parameters of a query that hold a signature or key, by names that are harmless elsewhere.
_PARAMETERS: Final = frozenset(
    {
        *("sig", "code", "key", "k", "token", "t", "auth", "hash", "x-amz-credential", "x-amz-signature", "apikey"),
        *("x-amz-security-token", "x-goog-credential", "x-goog-signature", "jwt", "pass", "hdnts", "policy", "st"),
    }
)
#: Conventional user names, and placeholders for secrets.
_NO_USER: Final = re.compile(r"git|hg|svn|ssh|ubuntu|azureuser|root|anonymous|oauth2|x-access-token|token", re.I)
_STANDS_FOR_ONE: Final = re.compile(r"\$.*|\*+|REDACTED|<.*|\{.*|%\w+%|x{3,}|password|user", re.I)

Span = tuple[int, int]


def secrets_in_addresses(text: str) -> Iterator[Span]:
    """Yield the positions in a text at which a URL certainly holds a secret.

    Args:
        text: Any text.
    """
    if "://" not in text:
        return
    for match in _ADDRESS.finditer(text):
        yield from _of_user(match)
        yield from _of_query(match, "query")
        yield from _of_query(match, "fragment")
        if match["scheme"].lower() in ("http", "https") and _is_hook(match["authority"], match["path"]):
            yield match.start("path") + 1, match.end("path")


def has_doubtful_path(text: str) -> bool:
    """True if the path or the query of a URL has a part that looks random.

    Args:
        text: A URL.
    """
    match = _ADDRESS.match(text)
    if match is None:
        return False
    path = re.sub(r"(?i)(/subscriptions)/[0-9a-f-]{36}(?=/|$)", r"\1", match["path"])
    host = match["authority"].rpartition("@")[2]
    parts = [*path.split("/"), match["query"] or "", match["fragment"] or "", *host.split(".")]
    return any(has_random_part(part) or is_uuid(part) for part in parts)


def _of_user(match: re.Match[str]) -> Iterator[Span]:
    user_info, at, _ = match["authority"].rpartition("@")
    if not at:
        return
    begin = match.start("authority")
    user, colon, password = user_info.partition(":")
    if colon and password and not _STANDS_FOR_ONE.fullmatch(password):
        yield begin + len(user) + 1, begin + len(user_info)
    # A user without a password may be a token: `https://TOKEN@github.com`, the key of a Sentry DSN.
    if user and not _NO_USER.fullmatch(user) and not _STANDS_FOR_ONE.fullmatch(user):
        plain = re.fullmatch(r"[A-Za-z][a-z]{0,20}([._+-]?[A-Za-z]?[a-z]{1,20}){0,4}\d{0,4}(%40[\w.]+)?", user)
        if not (plain or (colon and not has_random_part(user))):
            yield begin, begin + len(user)


def _of_query(match: re.Match[str], group: str) -> Iterator[Span]:
    if not match[group]:
        return
    for parameter in re.finditer(r"(?<=[?&#;])([^=&;]+)=([^&;]+)", match[group]):
        name, value = parameter[1], parameter[2]
        signs = name.lower() in _PARAMETERS and len(value) >= 6 and not re.fullmatch(r"\d{6}", value)
        if (says_secret(name) or signs) and not _STANDS_FOR_ONE.fullmatch(value):
            yield match.start(group) + parameter.start(2), match.start(group) + parameter.end(2)


def _is_hook(authority: str, path: str) -> bool:
    if len(path) < 2:
        return False
    host = authority.rpartition("@")[2].partition(":")[0].lower()
    if any(host == known or (known[0] == "." and host.endswith(known)) for known in _HOOK_HOSTS):
        return True
    found = _HOOK_PATH.search(path)
    if found is None:
        return False
    if ":" in found[0]:
        return True
    rest = [segment for segment in path[found.end() :].split("/") if segment]
    return any(len(segment) >= 8 and re.search(r"\d|[a-z][A-Z]", segment) for segment in rest)
