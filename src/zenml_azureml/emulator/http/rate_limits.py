"""How many requests Azure Resource Manager takes: what it counts, what it says of it, and when it refuses.

Limits, and that they are token buckets per subscription, principal and kind of operation, with one of 15 times the size
for all principals together: Microsoft's "Understand how Azure Resource Manager throttles requests", as of 2026. It has
such buckets in each of its regions; here is one region. Which headers there are, and what they count down from, is
recorded in job_get_completed.json and job_cancel_running_202.json (2026).
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from aiohttp import web

from zenml_azureml.emulator.context import CONTEXT
from zenml_azureml.emulator.http.responses import REMAINING, GatewayError
from zenml_azureml.emulator.services.entra.bearer import PRINCIPAL

#: By how much the limits of all principals together are larger than those of one.
_ALL_PRINCIPALS = 15

_HEADER = "x-ms-ratelimit-remaining-subscription"


@dataclass(frozen=True)
class Limit:
    """The bucket of one kind of operation: tokens that it holds, and how many come in per second."""

    kind: str
    size: int
    per_second: float


_READS, _WRITES, _DELETES = Limit("reads", 250, 25), Limit("writes", 200, 10), Limit("deletes", 200, 10)


def limit_of(method: str) -> Limit:
    """What limits requests of an HTTP method: recorded: POST, listSecrets too, counts as a write."""
    if method in {"GET", "HEAD"}:
        return _READS
    return _DELETES if method == "DELETE" else _WRITES


class Bucket:
    """A token bucket.

    Args:
        size: Tokens that it holds; it is full at first.
        per_second: Tokens that come in.
    """

    def __init__(self, size: float, per_second: float) -> None:
        self._size = size
        self._per_second = per_second
        self._tokens = size
        self._at = -math.inf

    def remaining(self, now: float) -> float:
        """Tokens that are in it at that second."""
        if now > self._at:
            self._tokens = min(self._size, self._tokens + (now - self._at) * self._per_second)
            self._at = now
        return self._tokens

    def take(self, now: float) -> None:
        """Take one out."""
        self._tokens = self.remaining(now) - 1

    def seconds_to_next(self, now: float) -> float:
        """Until there is a whole one; 0 if there is."""
        return max(0.0, 1 - self.remaining(now)) / self._per_second


@dataclass
class RateLimits:
    """The buckets of one emulator, by subscription, principal (empty for all together) and kind of operation."""

    buckets: dict[tuple[str, str, str], Bucket] = field(default_factory=dict)

    def of(self, subscription: str, principal: str, limit: Limit) -> Bucket:
        """The bucket; made full where there is none."""
        key = (subscription.lower(), principal, limit.kind)
        if key not in self.buckets:
            scale = 1 if principal else _ALL_PRINCIPALS
            self.buckets[key] = Bucket(limit.size * scale, limit.per_second * scale)
        return self.buckets[key]


RATE_LIMITS: web.AppKey[RateLimits] = web.AppKey("rate_limits", RateLimits)


@web.middleware
async def limit_rate(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Count a request to Azure Resource Manager, and refuse it where there are too many.

    Raises:
        GatewayError: 429, with the seconds after which to come again.
    """
    context = request.app[CONTEXT]
    words = request.path.split("/")
    if words[1].lower() != "subscriptions" or len(words) < 3:
        return await handler(request)
    limit, principal, now = limit_of(request.method), request[PRINCIPAL], context.clock.monotonic()
    limits, subscription = request.app[RATE_LIMITS], words[2]
    if not context.settings.rate_limits:
        limits = RateLimits()  # as if it were the first request
    own, everybodys = limits.of(subscription, principal, limit), limits.of(subscription, "", limit)
    seconds = max(own.seconds_to_next(now), everybodys.seconds_to_next(now))
    if seconds:
        request[REMAINING] = _headers(limit, own, everybodys, now)
        raise _throttled(subscription, principal, limit, math.ceil(seconds))
    own.take(now)
    everybodys.take(now)
    request[REMAINING] = _headers(limit, own, everybodys, now)
    return await handler(request)


def _headers(limit: Limit, own: Bucket, everybodys: Bucket, now: float) -> dict[str, str]:
    headers = {f"{_HEADER}-global-{limit.kind}": str(int(everybodys.remaining(now)))}
    # Recorded: an answer to a read does not say what is left for the principal.
    if limit is not _READS:
        headers[f"{_HEADER}-{limit.kind}"] = str(int(own.remaining(now)))
    return headers


def _throttled(subscription: str, principal: str, limit: Limit, seconds: int) -> GatewayError:
    # The words are quoted in public, from 2026 (of reads). Guess: that Retry-After is when one token has come in.
    return GatewayError(
        429,
        "SubscriptionRequestsThrottled",
        f"Number of '{limit.kind.removesuffix('s')}' requests for subscription '{subscription}' actor '{principal}' "
        f"exceeded. Please try again after '{seconds}' seconds after additional tokens are available. Refer to "
        "https://aka.ms/arm-throttling for additional information.",
        headers={"Retry-After": str(seconds)},
    )
