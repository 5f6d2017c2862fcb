"""What the emulator holds, as JSON texts and back. Pure.

A change of these forms, or of the tables in `database.py`, needs another `FORMAT` there.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from zenml_azureml.emulator.resources import AssetContainer, AssetVersion, Compute, Datastore, Job, Operation
from zenml_azureml.emulator.services.arm.rbac import RoleAssignment, role_named
from zenml_azureml.emulator.services.keyvault.store import DeletedSecret, SecretVersion, Vault
from zenml_azureml.emulator.state import Workspace
from zenml_azureml.emulator.types import Json

#: Attributes of a workspace that are saved beside its key and the time of its creation.
_OF_WORKSPACE = (
    *("workspace_id", "container_registry", "user_assigned", "primary_identity", "tags", "updated"),
    "default_datastore",
)


def text_of(found: Any) -> str:
    """Return what is saved of an object: JSON, in ASCII."""
    return json.dumps(_json_of(found), separators=(",", ":"))


def _json_of(found: Any) -> Any:  # noqa: PLR0911 - one for each kind
    if isinstance(found, Job):
        return _of_job(found)
    if isinstance(found, Workspace):
        plain = {name: getattr(found, name) for name in _OF_WORKSPACE}
        return {**plain, "created_at": found.created_at.isoformat(), "storage_key": found.storage_key.hex()}
    if isinstance(found, AssetVersion):
        return {"properties": found.properties, **_times(found)}
    if isinstance(found, AssetContainer):
        rest = {name: getattr(found, name) for name in ("description", "tags", "properties", "is_archived")}
        return {"created_at": found.created_at.isoformat(), **rest}
    if isinstance(found, Datastore):
        return {"properties": found.properties, "secrets": found.secrets, **_times(found)}
    if isinstance(found, Compute):
        return {"body": found.body, "requested": found.requested}
    if isinstance(found, Operation):
        return {"status": found.status, "error": found.error}
    if isinstance(found, Vault):
        return _of_vault(found)
    if isinstance(found, RoleAssignment):
        return {**asdict(found), "role": found.role.id}
    return found  # JSON already


def _of_job(job: Job) -> Json:
    return {
        "properties": job.properties,
        "created_at": job.created_at.isoformat(),
        "status": job.status,
        "started_at": job.started_at and job.started_at.isoformat(),
        "ended_at": job.ended_at and job.ended_at.isoformat(),
        "error": job.error,
        "attempt": job.attempt,
        # The folder may be elsewhere by the next start.
        "log_files": [
            [file.relative_to(job.folder).as_posix(), inode, seen.isoformat()]
            for (file, inode), seen in job.log_files.items()
        ],
        "output_assets": job.output_assets,
        "mlflow_run": job.mlflow_run,
        "logged_models": job.logged_models,
    }


def _of_vault(vault: Vault) -> Json:
    return {
        "created_at": vault.created_at.isoformat(),
        "uses_roles": vault.uses_roles,
        "access_policies": vault.access_policies,
        "names": vault.names,
        "secrets": {name: [asdict(one) for one in versions] for name, versions in vault.secrets.items()},
        "deleted": {
            name: {"versions": [asdict(one) for one in found.versions], "deleted": found.deleted}
            for name, found in vault.deleted.items()
        },
    }


def _times(found: AssetVersion | Datastore) -> Json:
    return {"created_at": found.created_at.isoformat(), "modified_at": found.modified_at.isoformat()}


def json_from(text: str) -> Json:
    """Return saved JSON."""
    kept: Json = json.loads(text)
    return kept


def job_from(text: str, name: str, folder: Path) -> Job:
    """Return a saved job.

    Args:
        text: What was saved.
        name: Its name.
        folder: Its folder.
    """
    kept = json.loads(text)
    return Job(
        name=name,
        properties=kept["properties"],
        created_at=datetime.fromisoformat(kept["created_at"]),
        folder=folder,
        status=kept["status"],
        started_at=_time(kept["started_at"]),
        ended_at=_time(kept["ended_at"]),
        error=kept["error"],
        attempt=kept["attempt"],
        log_files={(folder / path, inode): datetime.fromisoformat(seen) for path, inode, seen in kept["log_files"]},
        output_assets={
            output: (kind, asset, version) for output, (kind, asset, version) in kept["output_assets"].items()
        },
        mlflow_run=kept["mlflow_run"],
        logged_models=kept.get("logged_models", {}),  # an earlier version has written none
    )


def fill_workspace(workspace: Workspace, text: str) -> None:
    """Give a new workspace what was saved of it, without what is in it."""
    kept = json.loads(text)
    for name in _OF_WORKSPACE:
        setattr(workspace, name, kept[name])
    workspace.created_at = datetime.fromisoformat(kept["created_at"])
    workspace.storage_key = bytes.fromhex(kept["storage_key"])


def container_from(text: str, name: str) -> AssetContainer:
    """Return a saved asset without its versions."""
    kept = json.loads(text)
    rest = {key: kept[key] for key in ("description", "tags", "properties", "is_archived")}
    return AssetContainer(name, datetime.fromisoformat(kept["created_at"]), **rest)


def version_from(text: str, name: str, version: str) -> AssetVersion:
    """Return a saved version of an asset."""
    kept = json.loads(text)
    return AssetVersion(name, version, kept["properties"], *_both_times(kept))


def datastore_from(text: str, name: str) -> Datastore:
    """Return a saved datastore."""
    kept = json.loads(text)
    return Datastore(name, kept["properties"], *_both_times(kept), secrets=kept["secrets"])


def compute_from(text: str, name: str) -> Compute:
    """Return a saved compute, on which nothing runs."""
    kept = json.loads(text)
    return Compute(name, kept["body"], requested=kept["requested"])


def operation_from(text: str, name: str) -> Operation:
    """Return a saved operation."""
    kept = json.loads(text)
    return Operation(name, kept["status"], kept["error"])


def fill_vault(vault: Vault, text: str) -> None:
    """Give a new key vault what was saved of it."""
    kept = json.loads(text)
    vault.created_at = datetime.fromisoformat(kept["created_at"])
    vault.uses_roles, vault.access_policies, vault.names = kept["uses_roles"], kept["access_policies"], kept["names"]
    vault.secrets = {name: [SecretVersion(**one) for one in versions] for name, versions in kept["secrets"].items()}
    vault.deleted = {
        name: DeletedSecret([SecretVersion(**one) for one in found["versions"]], found["deleted"])
        for name, found in kept["deleted"].items()
    }


def role_from(text: str) -> RoleAssignment:
    """Return a saved role assignment."""
    kept = json.loads(text)
    role = role_named(kept["role"])
    if role is None:
        raise ValueError(f"there is no role {kept['role']}")
    return RoleAssignment(**{**kept, "role": role})


def _both_times(kept: Json) -> tuple[datetime, datetime]:
    return datetime.fromisoformat(kept["created_at"]), datetime.fromisoformat(kept["modified_at"])


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
