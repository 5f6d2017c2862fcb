"""Requests to Resource Manager no faster than it takes them, so that it has none to refuse.

It gives each principal, in each subscription, a bucket of tokens for reads, for writes and for deletes; each request
takes one out. Source: Microsoft, "Understand how Azure Resource Manager throttles requests" (2026).

Thread-safe: each bucket has a lock, and nobody sleeps while holding it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

from zenml_azureml.clock import Time

#: Tokens that are left in each bucket: for requests that take a shorter way than the one before them, and for other
#: processes of the same principal, which are only heard of by what Resource Manager says is left.
MARGIN = 40

_HEADER = "x-ms-ratelimit-remaining-subscription-"


class TokenBucket:
    """Tokens that come in at a steady pace, and that can be taken out before they have come in.

    Args:
        size: Tokens that it holds; it is full at first.
        per_second: Tokens that come in.
        time: Where the time comes from.
    """

    def __init__(self, size: float, per_second: float, time: Time) -> None:
        self._size = size
        self._per_second = per_second
        self._time = time
        self._lock = threading.Lock()
        self._tokens = size
        self._at = time.monotonic()

    def take(self) -> float:
        """Take one out, the next that nobody has taken.

        Returns:
            Seconds until it has come in; 0 if it has.
        """
        with self._lock:
            self._refill()
            self._tokens -= 1
            return max(0.0, -self._tokens) / self._per_second

    def lower_to(self, tokens: float) -> None:
        """Take in that there are so many at the most; below zero it is a debt."""
        with self._lock:
            self._refill()
            self._tokens = min(self._tokens, tokens)

    def _refill(self) -> None:
        now = self._time.monotonic()
        self._tokens = min(self._size, self._tokens + (now - self._at) * self._per_second)
        self._at = now


class Pacer:
    """Paces the requests of one principal in one subscription.

    Args:
        time: Where the time comes from.
    """

    def __init__(self, time: Time) -> None:
        self._time = time
        self._buckets = {
            "reads": TokenBucket(250 - MARGIN, 25, time),
            "writes": TokenBucket(200 - MARGIN, 10, time),
            "deletes": TokenBucket(200 - MARGIN, 10, time),
        }

    def before(self, method: str, url: str) -> None:
        """Wait until a request may be sent; not at all, if it is not to Resource Manager."""
        if _is_limited(url):
            seconds = self._buckets[_kind(method)].take()
            if seconds:
                self._time.sleep(seconds)

    def after(self, method: str, url: str, headers: Mapping[str, str]) -> None:
        """Take in what the answer says is left, which others of the same principal may have used up."""
        if not _is_limited(url):
            return
        kind = _kind(method)
        left = headers.get(f"{_HEADER}{kind}", "")
        if left.isdecimal():
            self._buckets[kind].lower_to(int(left) - MARGIN)


_lock = threading.Lock()
_pacers: WeakValueDictionary[tuple[str, str, int], Pacer] = WeakValueDictionary()


def _renew_in_child() -> None:
    global _lock  # noqa: PLW0603 - a thread of the parent may have held it
    _lock = threading.Lock()
    _pacers.clear()


os.register_at_fork(after_in_child=_renew_in_child)


def pacer_for(resource_manager: str, subscription_id: str, time: Time) -> Pacer:
    """The pacer of everything in this process that goes to one subscription.

    One for all of its principals: which of them a credential is, only its token tells.

    Args:
        resource_manager: URL of Resource Manager.
        subscription_id: The subscription.
        time: Where the time comes from.
    """
    key = (resource_manager, subscription_id.lower(), id(time))
    with _lock:
        pacer = _pacers.get(key)
        if pacer is None:
            pacer = _pacers[key] = Pacer(time)  # which keeps its time, and so the time's id, alive
        return pacer


def _is_limited(url: str) -> bool:
    # Run history and storage have limits of their own, which nobody has told.
    front, found, _ = urlsplit(url).path.lower().partition("/subscriptions/")
    return bool(found) and "/history/" not in f"{front}/"


def _kind(method: str) -> str:
    if method in ("GET", "HEAD"):
        return "reads"
    return "deletes" if method == "DELETE" else "writes"
