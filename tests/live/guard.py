"""The guard of costs: it decides about each request before it is sent. Pure, but for what it is given to remember.

Everything that writes is refused unless it is on the list: a job with a time limit on a cheap size, one at a time; a
cluster with no nodes; an environment; a secret of a key vault; the end of any of these.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

#: US dollars an hour and node; a size above is refused.
MOST_PRICE = 0.30
MOST_NODES = 2
MOST_MINUTES = 10
#: Statuses of jobs that have ended.
ENDED = frozenset({"Completed", "Failed", "Canceled"})

_DURATION = re.compile(r"PT(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+)S)?")
_CREATES = re.compile(
    r"/workspaces/[^/]+/(?P<kind>jobs|computes|environments)/[^/]+(?:/versions/[^/]+)?$", re.IGNORECASE
)
#: POST requests that only read.
_READING = re.compile(
    r"/(listNodes|listSecrets|diagnose|rundata|runs/query|\w+/metrics?|contentinfo|batch/\w+)$", re.IGNORECASE
)


def name_of(run: str, short: str) -> str:
    """Return the name of something that a run makes: no other run has it."""
    return f"zl{run}-{short}"


def datastore_of(run: str, short: str) -> str:
    """Return the name of a datastore that a run makes: such names have no hyphens."""
    return f"zl{run}_{short}"


class RefusedError(Exception):
    """A request that the guard does not let pass: it could cost too much, or change what is not the run's."""


class Memory(Protocol):
    """What the guard knows of earlier requests of the run."""

    def unfinished_jobs(self) -> set[str]:
        """Return the jobs that were submitted and are not known to have ended."""

    def jobs(self) -> set[str]:
        """Return all jobs that were submitted."""

    def made(self) -> set[str]:
        """Return the paths of everything that was created, in lower case."""


@dataclass(frozen=True)
class Guard:
    """Decides about requests.

    Attributes:
        workspace_id: ARM id of the only workspace that may be written to.
        tag: Key and value of the tag that jobs and computes must have.
        prices: US dollars an hour by VM size, in lower case.
        most_jobs: Number of jobs that were announced.
        most_price: US dollars an hour and node.
        most_minutes: The longest timeout of a job.
    """

    workspace_id: str
    tag: tuple[str, str]
    prices: Mapping[str, float] = field(default_factory=dict)
    most_jobs: int = 0
    most_price: float = MOST_PRICE
    most_minutes: float = MOST_MINUTES

    def check(self, method: str, path: str, body: bytes | str | None, memory: Memory) -> None:
        """Refuse a request to Resource Manager that must not be sent.

        Args:
            method: HTTP method.
            path: Path of the URL, without query.
            body: What would be sent.
            memory: Earlier requests.

        Raises:
            RefusedError: If it must not be sent.
        """
        if method in ("GET", "HEAD", "OPTIONS") or (method == "POST" and _READING.search(path)):
            return
        resource = self._resource(path)
        kind, _, rest = resource.partition("/")
        if kind == "jobs" and rest:
            self._check_job(method, rest, _json(body), memory)
        elif kind == "computes" and rest:
            self._check_compute(method, path, rest, _json(body), memory)
        elif kind == "environments" and rest:
            if method == "DELETE":
                self._is_ours(path, memory)
            elif method != "PUT":
                raise RefusedError(f"{method} of an environment.")
        elif kind == "data" and method in ("PUT", "DELETE") and rest.startswith(name_of(self.tag[1], "")):
            return  # an asset of the run, or an output that a job of the run has registered
        elif kind == "datastores" and rest.startswith(datastore_of(self.tag[1], "")):
            self._check_datastore(method, _json(body))
        elif method == "DELETE" and path.lower() in memory.made():
            return
        else:
            raise RefusedError(f"{method} {resource or 'workspace'}: the tests have no need of it.")

    def _check_datastore(self, method: str, body: Mapping[str, Any]) -> None:
        credentials = (body.get("properties") or {}).get("credentials") or {}
        if method == "PUT" and credentials != {"credentialsType": "None"}:
            raise RefusedError("The datastore would store credentials.")
        if method not in ("PUT", "DELETE"):
            raise RefusedError(f"{method} of a datastore.")

    def _resource(self, path: str) -> str:
        prefix = f"{self.workspace_id}/".lower()
        if not path.lower().startswith(prefix):
            raise RefusedError("A write outside of the workspace.")
        return path[len(prefix) :].strip("/")

    def _check_job(self, method: str, rest: str, body: Mapping[str, Any], memory: Memory) -> None:
        name, _, action = rest.partition("/")
        if method == "DELETE" or (method == "POST" and action == "cancel"):
            if name not in memory.jobs():
                raise RefusedError(f"{method} of job {name}, which this run did not submit.")
            return
        if method != "PUT" or action:
            raise RefusedError(f"{method} of a job.")
        properties = body.get("properties") or {}
        if name in memory.jobs() and properties.get("isArchived"):
            return
        self._has_tag(properties.get("tags"))
        others = memory.unfinished_jobs() - {name}
        if others:
            raise RefusedError(f"Job {sorted(others)[0]} has not ended, and only one runs at a time.")
        if len(memory.jobs() | {name}) > self.most_jobs:
            raise RefusedError(f"It would be job {len(memory.jobs()) + 1}, and {self.most_jobs} were announced.")
        timeout = str((properties.get("limits") or {}).get("timeout") or "")
        seconds = _seconds(timeout)
        if seconds is None or not 0 < seconds <= self.most_minutes * 60:
            raise RefusedError(f"The job's timeout is {timeout or 'missing'}; the most is {self.most_minutes} minutes.")
        resources = properties.get("resources") or {}
        nodes = resources.get("instanceCount") or 1
        if not isinstance(nodes, int) or nodes > MOST_NODES:
            raise RefusedError(f"The job has {nodes} nodes; the most is {MOST_NODES}.")
        compute = properties.get("computeId")
        if compute:
            # One that does not exist costs nothing: Azure refuses it.
            if str(compute).lower() not in memory.made() and "does-not-exist" not in str(compute):
                raise RefusedError("The job's compute was not made by this run.")
        else:
            self._is_cheap(resources.get("instanceType"))

    def _check_compute(self, method: str, path: str, rest: str, body: Mapping[str, Any], memory: Memory) -> None:
        name, _, action = rest.partition("/")
        if action:
            raise RefusedError(f"{action} of a compute: an instance costs as long as it runs.")
        if method == "DELETE":
            self._is_ours(path, memory)
            return
        properties = body.get("properties") or {}
        inner = properties.get("properties") or {}
        if method == "PATCH":
            self._is_ours(path, memory)
        elif method == "PUT":
            if properties.get("computeType") != "AmlCompute":
                raise RefusedError(
                    f"A compute of the type {properties.get('computeType')}; only clusters cost nothing."
                )
            self._has_tag(body.get("tags"))
            self._is_cheap(inner.get("vmSize"))
        else:
            raise RefusedError(f"{method} of a compute.")
        scale = inner.get("scaleSettings") or {}
        if scale.get("minNodeCount", 0) != 0:
            raise RefusedError(f"Cluster {name} would keep {scale['minNodeCount']} nodes; it must have 0.")
        if not 0 <= scale.get("maxNodeCount", MOST_NODES + 1) <= MOST_NODES:
            raise RefusedError(
                f"Cluster {name} would have up to {scale.get('maxNodeCount')} nodes; at most {MOST_NODES}."
            )

    def _is_ours(self, path: str, memory: Memory) -> None:
        if path.rstrip("/").lower() not in memory.made():
            raise RefusedError(f"{path.rpartition('/')[2]} was not made by this run.")

    def _has_tag(self, tags: object) -> None:
        key, value = self.tag
        if not isinstance(tags, Mapping) or tags.get(key) != value:
            raise RefusedError(f"It lacks the tag {key}={value}, by which it is found and deleted.")

    def _is_cheap(self, size: object) -> None:
        if not size:
            raise RefusedError("It names no VM size, so that its price is unknown.")
        price = self.prices.get(str(size).lower())
        if price is None:
            raise RefusedError(f"The price of {size} is unknown.")
        if price > self.most_price:
            raise RefusedError(f"{size} costs {price:.2f} USD an hour; the most is {self.most_price:.2f}.")


def tagged(method: str, path: str, body: bytes | str | None, tag: tuple[str, str]) -> bytes | None:
    """Return the body of a request with the tag of the run, where it creates something; else None.

    The operator gives its clusters and environments no tags of the user's.

    Args:
        method: HTTP method.
        path: Path of the URL.
        body: What would be sent.
        tag: Key and value.
    """
    if method != "PUT" or not (found := _CREATES.search(path)):
        return None
    content = dict(_json(body))
    where = content if found["kind"].lower() == "computes" else content.setdefault("properties", {})
    if not isinstance(where, dict) or (where.get("tags") or {}).get(tag[0]) is not None:
        return None
    where["tags"] = {**(where.get("tags") or {}), tag[0]: tag[1]}
    return json.dumps(content).encode()


def prices_in(answer: Mapping[str, Any]) -> dict[str, float]:
    """Return the highest price of each size in an answer of `vmSizes`, whatever system and tier it is for."""
    found = {}
    for size in answer.get("value") or answer.get("amlCompute") or []:
        prices = [
            float(one["retailPrice"])
            for one in ((size.get("estimatedVMPrices") or {}).get("values") or ())
            if one.get("osType") == "Linux"
        ]
        if prices:
            found[str(size["name"]).lower()] = max(prices)
    return found


def _seconds(duration: str) -> int | None:
    found = _DURATION.fullmatch(duration)
    if found is None or duration == "PT":
        return None
    hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return hours * 3600 + minutes * 60 + seconds


def _json(body: bytes | str | None) -> Mapping[str, Any]:
    try:
        found = json.loads(body or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
