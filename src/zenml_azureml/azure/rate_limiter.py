"""A rate limiter for requests to Resource Manager, so that it refuses none because of throttling.

Resource Manager gives each principal, in each subscription, a bucket of tokens for reads, for writes and for deletes;
each request takes one out. Source: Microsoft, "Understand how Azure Resource Manager throttles requests" (2026).

Thread-safe: each bucket has a lock, and no thread sleeps while it holds one.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

from zenml_azureml.clock import Time
from zenml_azureml.fork_lock import ForkLock

#: Reserve of tokens in each bucket: for requests that overtake others on the network, and for other processes of the
#: same principal, whose use only shows in the remaining number that Resource Manager reports.
MARGIN = 40

_HEADER = "x-ms-ratelimit-remaining-subscription-"


class TokenBucket:
    """A bucket of tokens that refills at a steady rate, and from which tokens can be taken in advance.

    Args:
        size: Number of tokens that it holds; it is full at first.
        per_second: Number of new tokens per second.
        time: Source of time.
    """

    def __init__(self, size: float, per_second: float, time: Time) -> None:
        self._size = size
        self._per_second = per_second
        self._time = time
        self._lock = threading.Lock()
        self._tokens = size
        self._at = time.monotonic()

    def take(self) -> float:
        """Take the next token that no other thread has taken.

        Returns:
            Seconds until it is available; 0 if it is.
        """
        with self._lock:
            self._refill()
            self._tokens -= 1
            return max(0.0, -self._tokens) / self._per_second

    def lower_to(self, tokens: float) -> None:
        """Lower the number of tokens; a negative number is a debt."""
        with self._lock:
            self._refill()
            self._tokens = min(self._tokens, tokens)

    def _refill(self) -> None:
        now = self._time.monotonic()
        self._tokens = min(self._size, self._tokens + (now - self._at) * self._per_second)
        self._at = now


class Pacer:
    """Limits the rate of the requests of one principal in one subscription.

    Args:
        time: Source of time.
    """

    def __init__(self, time: Time) -> None:
        self._time = time
        self._buckets = {
            "reads": TokenBucket(250 - MARGIN, 25, time),
            "writes": TokenBucket(200 - MARGIN, 10, time),
            "deletes": TokenBucket(200 - MARGIN, 10, time),
        }

    def before(self, method: str, url: str) -> None:
        """Wait until a request may be sent; no wait if it does not go to Resource Manager."""
        if _is_limited(url):
            seconds = self._buckets[_kind(method)].take()
            if seconds:
                self._time.sleep(seconds)

    def after(self, method: str, url: str, headers: Mapping[str, str]) -> None:
        """Read the remaining number from an answer: other processes of the same principal may have used tokens."""
        if not _is_limited(url):
            return
        kind = _kind(method)
        left = headers.get(f"{_HEADER}{kind}", "")
        if left.isdecimal():
            self._buckets[kind].lower_to(int(left) - MARGIN)


_pacers: WeakValueDictionary[tuple[str, str, int], Pacer] = WeakValueDictionary()
_lock = ForkLock(_pacers.clear)


def pacer_for(resource_manager: str, subscription_id: str, time: Time) -> Pacer:
    """Return the pacer of all requests of this process to one subscription.

    All principals share it, because only the token of a credential shows its principal.

    Args:
        resource_manager: URL of Resource Manager.
        subscription_id: The subscription.
        time: Source of time.
    """
    key = (resource_manager, subscription_id.lower(), id(time))
    with _lock:
        pacer = _pacers.get(key)
        if pacer is None:
            pacer = _pacers[key] = Pacer(time)  # it keeps a reference to `time`, so that the id stays valid
        return pacer


def _is_limited(url: str) -> bool:
    # Run history, MLflow's API and storage have other limits, which Microsoft has not published.
    front, found, _ = urlsplit(url).path.lower().partition("/subscriptions/")
    return bool(found) and not {"history", "mlflow"} & set(front.split("/"))


def _kind(method: str) -> str:
    if method in ("GET", "HEAD"):
        return "reads"
    return "deletes" if method == "DELETE" else "writes"
