"""Replacement of ids, names, accounts, tokens, signatures, addresses and people by references. Pure.

A reference, such as `<uuid-4f1c2a9b>`, is the same for the same value, in all files of one run. It follows from the
value and from a key that is never written, so that values cannot be guessed and compared later.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from tests.live.known import Known
from tests.live.patterns import KEYS, PATTERNS, REFERENCE, SECRET_HEADERS
from zenml_azureml.secrets.names import means_secret
from zenml_azureml.secrets.shapes import secrets_in

#: Addresses of secrets in a key vault, whose bodies hold their values.
_OF_VAULT = re.compile(r"https://[^/]+/(?:deleted)?secrets/")

#: A part of a URL that has encoded characters.
_ENCODED = re.compile(r"[\w.~+*'()-]*%[0-9A-Fa-f]{2}[\w.~%+*'()-]*")

#: The file with public values.
PUBLISHED = Path(__file__).parent / "published.json"


@lru_cache
def published() -> frozenset[str]:
    """Return ids, names and addresses of the public recordings that this project uses, in lower case.

    They are not replaced: they belong to the service, or were published before, and others can look them up there.
    """
    return frozenset(json.loads(PUBLISHED.read_text(encoding="utf-8")))


class Sanitiser:
    """Replaces what belongs to a workspace, to its users and to their credentials.

    Args:
        known: What a run knows of both.
        key: Key of the references; all processes of a run have the same.
        public: Values that stay.
    """

    def __init__(self, known: Known, key: bytes, public: frozenset[str] | None = None) -> None:
        self._patterns = known.patterns()
        self._key = key
        self._public = published() if public is None else public

    def exchange(self, exchange: Mapping[str, Any]) -> dict[str, Any]:
        """Return an exchange without such values; anything that is none stays as it is."""
        given = dict(exchange)
        if _OF_VAULT.match(str(given.get("path", ""))):
            for name in ("request_body", "response_body"):
                body = given.get(name)
                if isinstance(body, dict) and isinstance(body.get("value"), str):
                    given[name] = {**body, "value": self._whole("secret", body["value"])}
        found: dict[str, Any] = self.value(given)
        return found

    def value(self, value: Any, key: str = "") -> Any:
        """Return the same for any value of JSON, which stands under a key."""
        if isinstance(value, dict):
            return {self.text(name): self.value(item, name) for name, item in value.items()}
        if isinstance(value, list):
            return [self.value(item, key) for item in value]
        if isinstance(value, str):
            return self._of_key(value, key)
        return value

    def text(self, text: str) -> str:
        """Return the same for a text, and for the encoded parts of URLs in it."""
        if "%" in text:
            text = _ENCODED.sub(self._encoded, text)
        return self._plain(text)

    def _encoded(self, match: re.Match[str]) -> str:
        plain = unquote(match[0])
        clean = self._plain(plain)
        return match[0] if clean == plain else quote(clean, safe="<>")

    def _plain(self, text: str) -> str:
        for pattern, instead in self._patterns:
            text = pattern.sub(lambda _, instead=instead: instead, text)  # type: ignore[misc]
        text = self._without_secrets(text)
        for kind, pattern in PATTERNS:
            text = pattern.sub(self._replacement(kind), text)
        return text

    def reference(self, kind: str, value: str) -> str:
        """Return the reference for a value; the same for the same value, in any case of its letters."""
        digest = hmac.new(self._key, value.lower().encode(), hashlib.sha256).hexdigest()
        return f"<{kind}-{digest[:8]}>"

    def _whole(self, kind: str, value: str) -> str:
        return value if REFERENCE.fullmatch(value) else self.reference(kind, value)

    def _of_key(self, value: str, key: str) -> str:
        kind = KEYS.get(key.lower())
        if kind is None and (key.lower() in SECRET_HEADERS or (key and _means_secret(key))):
            kind = "secret"
        changed = self.text(value)
        # What stands under such a key is replaced whole, unless its parts were.
        if kind is None or not value or changed != value or self._stays(value) or REFERENCE.search(value):
            return changed if kind is None or changed == value else self.reference(kind, value)
        return self.reference(kind, value)

    def _without_secrets(self, text: str) -> str:
        parts, end = [], 0
        for begin, after in secrets_in(text):
            value = text[begin:after]
            if self._stays(value) or REFERENCE.search(value):
                continue
            parts += [text[end:begin], self.reference("secret", value)]
            end = after
        return "".join([*parts, text[end:]])

    def _replacement(self, kind: str) -> Callable[[Any], str]:
        def replace(match: Any) -> str:
            value = match["value"]
            if self._stays(value):
                return str(match[0])
            return f"{match.groupdict().get('keep') or ''}{self.reference(kind, value)}"

        return replace

    def _stays(self, value: str) -> bool:
        return value.lower() in self._public


def _means_secret(key: str) -> bool:
    # A key of the API, not a variable of a user: its words are Azure's.
    return key.lower() not in _HARMLESS_KEYS and means_secret(key)


#: Keys of the API whose names sound like secrets.
_HARMLESS_KEYS = frozenset({"keyvault", "skiptoken", "nextlinktoken", "continuationtoken", "secretsconfiguration"})
