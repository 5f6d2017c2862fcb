"""What a run has made: a file that is written before each request, so that it is complete after kill -9 too."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.live.guard import ENDED

_JOB = re.compile(r".*/workspaces/[^/]+/jobs/(?P<job>[^/]+)", re.IGNORECASE)
_MADE = re.compile(
    r".*/workspaces/[^/]+/(?:jobs/[^/]+|computes/[^/]+|environments/[^/]+/versions/[^/]+)", re.IGNORECASE
)
_SECRET = re.compile(r"https://[^/]+/secrets/[^/?]+")


@dataclass
class Contents:
    """What the lines of a ledger add up to.

    Attributes:
        paths: Everything that exists or may exist, by its path in lower case, oldest first.
        jobs: All jobs that were accepted or may have been, those deleted since included.
        ended: Those that have ended.
        accepted: Paths of what was created.
    """

    paths: dict[str, str] = field(default_factory=dict)
    jobs: set[str] = field(default_factory=set)
    ended: set[str] = field(default_factory=set)
    accepted: set[str] = field(default_factory=set)

    def add(self, event: str, value: str) -> None:
        """Add a line."""
        job = job_in(value)
        if event == "sent":
            self.paths.setdefault(value.lower(), value)
            if job:
                self.jobs.add(job)
        elif event == "accepted":
            self.accepted.add(value.lower())
        elif event == "ended":
            self.ended.add(value)
        elif event == "deleted":
            self.paths.pop(value.lower(), None)
        elif event == "refused" and value.lower() not in self.accepted:
            self.paths.pop(value.lower(), None)
            self.jobs.discard(job or "")


class Ledger:
    """The file of a run; all its processes write to it.

    Args:
        file: Created when it is needed.
    """

    def __init__(self, file: Path) -> None:
        self.file = file

    def will_send(self, method: str, url: str) -> None:
        """Note a request that may create something, before it is sent."""
        if method == "PUT" and (made := _made_by(url)):
            self._write("sent", made)

    def was_answered(self, method: str, url: str, status: int, body: object) -> None:
        """Note what an answer says of what was created or deleted, and of jobs that have ended."""
        made = _made_by(url)
        if made and method == "PUT" and status != 429 and status < 500:
            self._write("accepted" if status < 300 else "refused", made)
        elif made and method == "DELETE" and status < 300:
            self._write("deleted", made)
        elif made and method == "GET" and status == 404 and (job_name := job_in(made)):
            self._write("ended", job_name)  # it was never accepted
        for job in _jobs_in(body):
            if (job.get("properties") or {}).get("status") in ENDED:
                self._write("ended", str(job.get("name")))

    def contents(self) -> Contents:
        """Return what the file says."""
        found = Contents()
        if self.file.exists():
            for line in self.file.read_text(encoding="utf-8").splitlines():
                found.add(*json.loads(line))
        return found

    def unfinished_jobs(self) -> set[str]:
        """Return the jobs that were submitted and are not known to have ended."""
        found = self.contents()
        return found.jobs - found.ended

    def jobs(self) -> set[str]:
        """Return all jobs that were submitted and not refused."""
        return self.contents().jobs

    def made(self) -> set[str]:
        """Return the paths of everything that was created, in lower case."""
        return set(self.contents().paths)

    def _write(self, event: str, value: str) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, (json.dumps([event, value]) + "\n").encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def job_in(path: str) -> str | None:
    """Return the job that a path is of; None for any other."""
    found = _JOB.fullmatch(path)
    return found["job"] if found else None


def _made_by(url: str) -> str | None:
    """Return what a PUT of that URL creates, as a path or as the URL of a secret."""
    plain = url.partition("?")[0]
    path = urlsplit(plain).path
    if _SECRET.fullmatch(plain):
        return plain
    return path if _MADE.fullmatch(path) else None


def _jobs_in(body: object) -> Iterator[dict[str, Any]]:
    if not isinstance(body, dict):
        return
    listed = body.get("value")
    for item in listed if isinstance(listed, list) else [body]:
        if isinstance(item, dict) and "/jobs/" in str(item.get("id", "")).lower():
            yield item
