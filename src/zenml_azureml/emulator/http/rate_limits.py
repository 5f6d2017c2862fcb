"""Rate limits of Azure Resource Manager: counts, headers and refusals.

Limits, and that they are token buckets per subscription, principal and kind of operation, with one of 15 times the size
for all principals together: Microsoft's "Understand how Azure Resource Manager throttles requests", as of 2026. It has
such buckets in each of its regions; here is one region. Which headers there are, and what they count down from, is
recorded in the exchanges of 2026, such as job_get_cluster_preparing_2026.json and compute_aml_delete_2026.json.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from aiohttp import web

from zenml_azureml.emulator.context import CONTEXT
from zenml_azureml.emulator.http.headers import REMAINING
from zenml_azureml.emulator.http.responses import GatewayError
from zenml_azureml.emulator.services.entra.bearer import PRINCIPAL

#: Ratio of the limits of all principals together to those of one.
_ALL_PRINCIPALS = 15

_HEADER = "x-ms-ratelimit-remaining-subscription"


@dataclass(frozen=True)
class Limit:
    """The bucket of one kind of operation: tokens that it holds, and how many come in per second."""

    kind: str
    size: int
    per_second: float


_READS, _WRITES, _DELETES = Limit("reads", 250, 25), Limit("writes", 200, 10), Limit("deletes", 200, 10)


def limit_of(method: str, path: str = "") -> Limit:
    """Return the limit of a request.

    Recorded: POST counts as a write, also for listSecrets, but as a read for the check of a workspace
    (workspace_diagnose_post_202.json).

    Args:
        method: HTTP method.
        path: The path of the request.
    """
    if method in {"GET", "HEAD"} or path.lower().endswith("/diagnose"):
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
        """Return the number of tokens at that second."""
        if now > self._at:
            self._tokens = min(self._size, self._tokens + (now - self._at) * self._per_second)
            self._at = now
        return self._tokens

    def take(self, now: float) -> None:
        """Remove one token."""
        self._tokens = self.remaining(now) - 1

    def seconds_to_next(self, now: float) -> float:
        """Return the seconds until there is a whole token; 0 if there is one."""
        return max(0.0, 1 - self.remaining(now)) / self._per_second


@dataclass
class RateLimits:
    """The buckets of one emulator, by subscription, principal (empty for all together) and kind of operation."""

    buckets: dict[tuple[str, str, str], Bucket] = field(default_factory=dict)

    def of(self, subscription: str, principal: str, limit: Limit) -> Bucket:
        """Return the bucket; create a full one if there is none."""
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
    """Count a request to Azure Resource Manager, and refuse it if there are too many.

    Raises:
        GatewayError: 429, with the seconds after which to come again.
    """
    context = request.app[CONTEXT]
    words = request.path.split("/")
    if words[1].lower() != "subscriptions" or len(words) < 3:
        return await handler(request)
    limit, principal, now = limit_of(request.method, request.path), request[PRINCIPAL], context.clock.monotonic()
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
    return {
        f"{_HEADER}-{limit.kind}": str(int(own.remaining(now))),
        f"{_HEADER}-global-{limit.kind}": str(int(everybodys.remaining(now))),
    }


def _throttled(subscription: str, principal: str, limit: Limit, seconds: int) -> GatewayError:
    # The message is quoted in public, from 2026 (of reads). Guess: Retry-After is the time until a token is available.
    return GatewayError(
        429,
        "SubscriptionRequestsThrottled",
        f"Number of '{limit.kind.removesuffix('s')}' requests for subscription '{subscription}' actor '{principal}' "
        f"exceeded. Please try again after '{seconds}' seconds after additional tokens are available. Refer to "
        "https://aka.ms/arm-throttling for additional information.",
        headers={"Retry-After": str(seconds)},
    )
