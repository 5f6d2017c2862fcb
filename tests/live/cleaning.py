"""Deletion of what runs have made, by their tag and their ledgers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.keyvault.secrets import SecretClient

from tests.live.guard import ENDED, datastore_of, name_of
from tests.live.ledger import Ledger, job_in
from tests.live.target import TAG, Target
from zenml_azureml.tags import VAULT_SECRET

_SECONDS_TO_END = 900
#: Answers of a service that cannot delete jobs; 501 is the emulator's.
_CANNOT_DELETE = (400, 404, 405, 409, 501)


@dataclass
class Found:
    """What runs have left in a workspace.

    Attributes:
        jobs: The jobs by name, as Azure answers them.
        computes: Names of clusters.
        environments: Paths of versions of environments.
        secrets: URLs of secrets.
        data: Paths of versions of data assets.
        datastores: Names of datastores.
    """

    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    computes: list[str] = field(default_factory=list)
    environments: list[str] = field(default_factory=list)
    secrets: list[str] = field(default_factory=list)
    data: list[str] = field(default_factory=list)
    datastores: list[str] = field(default_factory=list)

    def lines(self) -> Iterator[str]:
        """Yield a line for each."""
        for name, job in self.jobs.items():
            yield f"job {name} ({job['properties']['status']})"
        yield from (f"compute cluster {name}" for name in self.computes)
        yield from (f"environment {'/'.join(path.split('/')[-3::2])}" for path in self.environments)
        yield from (f"secret {url}" for url in self.secrets)
        yield from (f"data asset {path.split('/')[1]}" for path in self.data)
        yield from (f"datastore {name}" for name in self.datastores)


def find(target: Target, ledgers: Iterable[Ledger], run: str | None = None) -> Found:
    """Return what runs have left.

    Args:
        target: The workspace.
        ledgers: Ledgers of runs on it: they have what cannot be tagged.
        run: The run; None for all runs.
    """
    found = Found()
    for job in _listed(target, f"jobs?tag={TAG}&listViewType=All"):
        properties = job["properties"]
        # At the end of its own run, a job whose cluster is gone is tried too.
        is_record = run is None and _is_without_compute(target, properties)
        if _is_of(properties.get("tags"), run) and not properties.get("isArchived") and not is_record:
            found.jobs[job["name"]] = job
            if secret := job["properties"]["tags"].get(VAULT_SECRET):
                found.secrets.append(secret)
    found.computes += [one["name"] for one in _listed(target, "computes") if _is_of(one.get("tags"), run)]
    for ledger in ledgers:
        for path in ledger.contents().paths.values():
            if path.startswith("https:"):
                found.secrets.append(path)
            elif "/environments/" in path.lower() and path.lower().startswith(target.workspace_id.lower()):
                found.environments.append(path)
            elif (
                (name := job_in(path))
                and name not in found.jobs
                and path.lower().startswith(target.workspace_id.lower())
            ):
                answer = target.send("GET", path)
                if answer.status_code == 200 and not answer.json()["properties"].get("isArchived"):
                    found.jobs[name] = answer.json()
    ledgers = list(ledgers)
    runs = [run] if run is not None else [ledger.file.parent.name for ledger in ledgers]
    for asset in _listed(target, "data"):  # they have no tags: their names are those of their runs
        if any(asset["name"].startswith(name_of(each, "")) for each in runs):
            found.data += [f"data/{asset['name']}/versions/{one['name']}" for one in _versions(target, asset["name"])]
    datastores = [one["name"] for one in _listed(target, "datastores")]
    found.datastores += [name for name in datastores if any(name.startswith(datastore_of(each, "")) for each in runs)]
    found.secrets = sorted({url for url in found.secrets if _exists(target, url)})
    found.environments = [path for path in found.environments if target.send("GET", path).status_code == 200]
    return found


def delete(target: Target, found: Found, say: Callable[[str], None]) -> list[str]:
    """Delete all of it, and return what could not be deleted.

    Args:
        target: The workspace.
        found: What to delete.
        say: Gets a line for each deletion.
    """
    left: list[str] = []

    def attempt(what: str, work: Callable[[], None]) -> None:
        try:
            work()
            say(f"Deleted {what}.")
        except (OSError, AssertionError, AzureError, TimeoutError) as error:
            left.append(f"{what}: {error}")

    # All jobs end first. A job cannot be archived when its cluster is gone.
    for name, job in found.jobs.items():
        if job["properties"]["status"] not in ENDED:
            target.send("POST", f"jobs/{name}/cancel")
    for name in found.jobs:
        attempt(f"job {name}", lambda name=name: _delete_job(target, name))  # type: ignore[misc]
    for name in found.computes:
        attempt(f"compute cluster {name}", lambda name=name: _delete_compute(target, name))  # type: ignore[misc]
    for url in found.secrets:
        attempt(f"secret {url}", lambda url=url: _delete_secret(target, url))  # type: ignore[misc]
    for path in found.data:
        attempt(f"data asset {path.split('/')[1]}", lambda path=path: _expect(target.send("DELETE", path)))  # type: ignore[misc]
    for name in found.datastores:
        attempt(f"datastore {name}", lambda name=name: _expect(target.send("DELETE", f"datastores/{name}")))  # type: ignore[misc]
    for path in found.environments:
        attempt(f"environment {path.split('/')[-3]}", lambda path=path: _expect(target.send("DELETE", path)))  # type: ignore[misc]
    return left


def _versions(target: Target, asset: str) -> list[dict[str, Any]]:
    return list(_listed(target, f"data/{asset}/versions"))


def _delete_job(target: Target, name: str) -> None:
    """Wait for its end, and delete it; archive it where the service cannot delete it."""
    _until(
        lambda: target.send("GET", f"jobs/{name}").json()["properties"]["status"] in ENDED, f"job {name} has not ended"
    )
    answer = target.send("DELETE", f"jobs/{name}")
    if answer.status_code not in _CANNOT_DELETE:
        _expect(answer)
        return
    properties = target.send("GET", f"jobs/{name}").json()["properties"]
    answer = target.send("PUT", f"jobs/{name}", {"properties": {**properties, "isArchived": True}})
    # A job whose cluster is gone cannot be changed. It has ended, and its record costs nothing.
    if answer.status_code != 400 or not _is_without_compute(target, properties):
        _expect(answer)


def _is_without_compute(target: Target, properties: dict[str, Any]) -> bool:
    """True if a job has ended and its compute does not exist."""
    compute = str(properties.get("computeId") or "")
    return properties["status"] in ENDED and compute != "" and target.send("GET", compute).status_code == 404


def _delete_compute(target: Target, name: str) -> None:
    answer = target.send("DELETE", f"computes/{name}?underlyingResourceAction=Delete")
    if answer.status_code != 404:
        _expect(answer)
        _until(lambda: target.send("GET", f"computes/{name}").status_code == 404, f"compute {name} is still there")


def _vault(target: Target, url: str) -> tuple[SecretClient, str]:
    parts = urlsplit(url)
    client = SecretClient(
        f"https://{parts.netloc}", target.credential, verify_challenge_resource=target.is_azure, retry_total=2
    )
    return client, parts.path.split("/")[2]


def _exists(target: Target, url: str) -> bool:
    client, name = _vault(target, url)
    try:
        client.get_secret(name)
    except ResourceNotFoundError:
        return False
    except AzureError:
        return True
    return True


def _delete_secret(target: Target, url: str) -> None:
    client, name = _vault(target, url)
    client.begin_delete_secret(name)


def _listed(target: Target, path: str) -> Iterator[dict[str, Any]]:
    following: str | None = path
    while following:
        # A token goes to no other host than Resource Manager's.
        assert not following.startswith("https:") or following.startswith(f"{target.base_url}/"), "a foreign nextLink"
        answer = target.send("GET", following)
        _expect(answer)
        yield from answer.json()["value"]
        following = answer.json().get("nextLink")


def _is_of(tags: object, run: str | None) -> bool:
    return isinstance(tags, dict) and TAG in tags and (run is None or tags[TAG] == run)


def _expect(answer: Any) -> None:
    assert answer.status_code < 300, f"{answer.status_code} {answer.text[:300]}"


def _until(is_done: Callable[[], bool], otherwise: str) -> None:
    end = time.monotonic() + _SECONDS_TO_END
    pause = 0.1
    while not is_done():
        if time.monotonic() > end:
            raise TimeoutError(f"{otherwise} after {_SECONDS_TO_END} seconds")
        time.sleep(pause)
        pause = min(pause * 1.5, 10)
