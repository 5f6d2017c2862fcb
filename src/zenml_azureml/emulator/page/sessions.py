"""Who may see the page: a browser that has exchanged a one-time key for a cookie.

A browser sends no token. `zenml-azureml emulator open` asks for a one-time key with the key of the emulator's own
interface, and puts it into a link; the first browser that opens the link gets a cookie in return.
"""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from hashlib import sha256

from aiohttp import web

#: Name of the cookie. Browsers send it to this host and over TLS only.
COOKIE = "__Host-zenml-azureml-emulator"

#: How long the link with a one-time key works.
KEY_LIFETIME = timedelta(minutes=5)
#: Keys that wait for a browser at a time; the oldest ones are forgotten.
_MOST_KEYS = 20


class PageSessions:
    """One-time keys and sessions of one emulator, in memory: they end with it. Only hashes of them are kept."""

    def __init__(self) -> None:
        self._keys: dict[str, datetime] = {}
        self._sessions: set[str] = set()

    def new_key(self, now: datetime) -> str:
        """Return a key that can be exchanged once.

        Args:
            now: The time.
        """
        key = secrets.token_urlsafe(32)
        self._keys[_hash(key)] = now + KEY_LIFETIME
        while len(self._keys) > _MOST_KEYS:
            self._keys.pop(next(iter(self._keys)))
        return key

    def exchange(self, key: str, now: datetime) -> str | None:
        """Return a new session for a key, which is spent; None if the key is unknown, spent or too old.

        Args:
            key: The key.
            now: The time.
        """
        expires = self._keys.pop(_hash(key), None)
        if expires is None or expires <= now:
            return None
        session = secrets.token_urlsafe(32)
        self._sessions.add(_hash(session))
        return session

    def knows(self, request: web.Request) -> bool:
        """True if a request has the cookie of a session."""
        session = request.cookies.get(COOKIE)
        return session is not None and _hash(session) in self._sessions


PAGE_SESSIONS: web.AppKey[PageSessions] = web.AppKey("page_sessions", PageSessions)


def _hash(secret: str) -> str:
    return sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
