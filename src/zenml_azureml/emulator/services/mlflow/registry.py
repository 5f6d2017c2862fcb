"""MLflow's registry of models: on Azure ML, these are the models of the workspace.

The forms are those of MLflow's REST API. Guess: all that Azure ML answers beyond them; there is no recording.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from zenml_azureml.emulator.http.responses import ServiceError
from zenml_azureml.emulator.resources import AssetContainer, AssetVersion
from zenml_azureml.emulator.services.aml.datastore_uris import parse_uri
from zenml_azureml.emulator.services.aml.models import Models
from zenml_azureml.emulator.services.mlflow.model_filters import FilterError, matches, page
from zenml_azureml.emulator.services.mlflow.model_sources import asset_uri, download_uri, run_of
from zenml_azureml.emulator.state import Workspace
from zenml_azureml.emulator.types import Json

#: Operations of this API begin with one of these words.
OPERATIONS = ("registered-models", "model-versions")

_MODELS = Models()
#: Azure ML's stage of a model that has none for MLflow.
_NO_STAGE = "Development"
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,254}")


class RegistryError(Exception):
    """A refusal in MLflow's form.

    Attributes:
        status: HTTP status.
        code: MLflow's code.
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class NotServedError(Exception):
    """An operation that is not emulated; the message names it."""


@dataclass(frozen=True)
class ModelRegistry:
    """The models of a workspace, as MLflow's registry has them.

    Attributes:
        workspace: The workspace.
        tracking_uri: Its URI for MLflow.
        now: Returns the time.
        user: Name of the owner of all versions.
        has_files: Returns True for the URI of a model that leads to files.
    """

    workspace: Workspace
    tracking_uri: str
    now: Callable[[], datetime]
    user: str
    has_files: Callable[[str], bool]

    def answer(self, method: str, operation: str, sent: Mapping[str, Any]) -> Json:
        """Carry out an operation and return its answer.

        Args:
            method: HTTP method.
            operation: E.g. `registered-models/create`.
            sent: The body, or the values of the query.

        Raises:
            RegistryError: If MLflow's server would refuse it.
            NotServedError: If it is not emulated.
        """
        handlers: dict[tuple[str, str], Callable[[Mapping[str, Any]], Json]] = {
            ("POST", "registered-models/create"): self._create_model,
            ("GET", "registered-models/get"): lambda one: {"registered_model": self._model(self._container(one))},
            ("GET", "registered-models/search"): self._search_models,
            ("PATCH", "registered-models/update"): self._update_model,
            ("DELETE", "registered-models/delete"): self._delete_model,
            ("POST", "registered-models/set-tag"): self._tag_model,
            ("DELETE", "registered-models/delete-tag"): self._tag_model,
            ("GET", "registered-models/get-latest-versions"): self._latest,
            ("POST", "registered-models/get-latest-versions"): self._latest,
            ("POST", "model-versions/create"): self._create_version,
            ("GET", "model-versions/get"): lambda one: {"model_version": self._version(self._found(one))},
            ("GET", "model-versions/search"): self._search_versions,
            ("GET", "model-versions/get-download-uri"): lambda one: {"artifact_uri": self._download(self._found(one))},
            ("PATCH", "model-versions/update"): self._update_version,
            ("DELETE", "model-versions/delete"): self._delete_version,
            ("POST", "model-versions/set-tag"): self._tag_version,
            ("DELETE", "model-versions/delete-tag"): self._tag_version,
            ("POST", "model-versions/transition-stage"): self._set_stage,
        }
        handler = handlers.get((method, operation))
        if handler is None:
            raise NotServedError(f"The operation {operation} of MLflow's registry of models")
        try:
            return handler(sent)
        except FilterError as error:
            raise RegistryError(400, "INVALID_PARAMETER_VALUE", str(error)) from error

    def _create_model(self, sent: Mapping[str, Any]) -> Json:
        name = str(sent.get("name") or "")
        if not _NAME.fullmatch(name):
            raise RegistryError(400, "INVALID_PARAMETER_VALUE", f"Registered model name {name!r} is not valid.")
        models = self._models()
        if name in models:
            raise RegistryError(400, "RESOURCE_ALREADY_EXISTS", f"Registered Model (name={name}) already exists.")
        made = AssetContainer(name, self.now(), description=sent.get("description"), tags=_tags(sent.get("tags")))
        models[name] = made
        return {"registered_model": self._model(made)}

    def _create_version(self, sent: Mapping[str, Any]) -> Json:
        container = self._container(sent)
        source = str(sent.get("source") or "")
        models = {
            model: (job.name, name) for job in self.workspace.jobs.values() for name, model in job.logged_models.items()
        }
        uri = asset_uri(source, models)
        if uri is None:
            raise NotServedError(f"A model from the source {source!r}")
        now = self.now()
        version = _MODELS.next_version(container, now) if container.latest else "1"
        made = {
            "modelUri": uri,
            "modelType": "mlflow_model",
            "jobName": sent.get("run_id") or run_of(uri),
            "description": sent.get("description") or None,
            "tags": _tags(sent.get("tags")),
        }
        try:
            completed = _MODELS.complete(made, self.workspace, container.name, version)
        except ServiceError as error:
            raise RegistryError(404, "RESOURCE_DOES_NOT_EXIST", str(error)) from error
        if parse_uri(source) is None and not self.has_files(uri):
            # Guess: the answer. The words are those of the service that Azure ML asks (azure-docs#103778).
            words = f"No blobs found in storage at model asset path: {source}"
            raise RegistryError(400, "INVALID_PARAMETER_VALUE", f"The request is invalid. {words}")
        return {"model_version": self._version(_MODELS.put(self.workspace, container.name, version, completed, now))}

    def _search_models(self, sent: Mapping[str, Any]) -> Json:
        found = [self._model(one) for one in self._models().values() if not one.is_archived]
        kept = [one for one in found if matches(one, str(sent.get("filter") or ""))]
        return page("registered_models", sorted(kept, key=lambda one: str(one["name"])), sent)

    def _search_versions(self, sent: Mapping[str, Any]) -> Json:
        found = [self._version(one) for container in self._models().values() for one in _versions(container)]
        kept = [one for one in found if matches(one, str(sent.get("filter") or ""))]
        return page("model_versions", sorted(kept, key=lambda one: -int(one["last_updated_timestamp"])), sent)

    def _latest(self, sent: Mapping[str, Any]) -> Json:
        stages = sent.get("stages") or []
        wanted = {str(one) for one in ([stages] if isinstance(stages, str) else stages)}
        shown = map(self._version, _versions(self._container(sent)))
        latest = {str(one["current_stage"]): one for one in shown}
        return {"model_versions": [one for stage, one in latest.items() if not wanted or stage in wanted]}

    def _update_model(self, sent: Mapping[str, Any]) -> Json:
        container = self._container(sent)
        container.description = sent.get("description")
        return {"registered_model": self._model(container)}

    def _update_version(self, sent: Mapping[str, Any]) -> Json:
        return {"model_version": self._changed(sent, description=sent.get("description"))}

    def _set_stage(self, sent: Mapping[str, Any]) -> Json:
        stage = str(sent.get("stage") or "")
        if sent.get("archive_existing_versions"):
            for one in _versions(self._container(sent)):
                if _stage(one) == stage:
                    one.properties = {**one.properties, "stage": "Archived"}
        return {"model_version": self._changed(sent, stage=_NO_STAGE if stage in ("", "None") else stage)}

    def _tag_model(self, sent: Mapping[str, Any]) -> Json:
        container = self._container(sent)
        container.tags = _tagged(container.tags, sent)
        return {}

    def _tag_version(self, sent: Mapping[str, Any]) -> Json:
        self._changed(sent, tags=_tagged(self._found(sent).properties["tags"], sent))
        return {}

    def _delete_model(self, sent: Mapping[str, Any]) -> Json:
        del self._models()[self._container(sent).name]
        return {}

    def _delete_version(self, sent: Mapping[str, Any]) -> Json:
        del self._container(sent).versions[self._found(sent).version]
        return {}

    def _changed(self, sent: Mapping[str, Any], **changes: Any) -> Json:
        found = self._found(sent)
        found.properties, found.modified_at = {**found.properties, **changes}, self.now()
        return self._version(found)

    def _download(self, found: AssetVersion) -> str:
        uri = str(found.properties["modelUri"])
        address = download_uri(uri, self.tracking_uri, self._experiment_of)
        if address is None:
            raise NotServedError(f"The download by MLflow of a model that no run has logged ({uri})")
        return address

    def _experiment_of(self, run: str) -> str:
        job = self.workspace.find_job(run)
        # Of a run that is no job's, run history does not look at the experiment.
        return str(job.properties["experimentName"]) if job else "models"

    def _models(self) -> dict[str, AssetContainer]:
        return self.workspace.assets_of(_MODELS.plural)

    def _container(self, sent: Mapping[str, Any]) -> AssetContainer:
        found = self._models().get(str(sent.get("name")))
        if found is None:
            words = f"Registered Model with name={sent.get('name')} not found"
            raise RegistryError(404, "RESOURCE_DOES_NOT_EXIST", words)
        return found

    def _found(self, sent: Mapping[str, Any]) -> AssetVersion:
        found = self._container(sent).versions.get(str(sent.get("version")))
        if found is None:
            words = f"Model Version (name={sent.get('name')}, version={sent.get('version')}) not found"
            raise RegistryError(404, "RESOURCE_DOES_NOT_EXIST", words)
        return found

    def _model(self, container: AssetContainer) -> Json:
        latest = {_stage(one): one for one in _versions(container)}
        changed = [one.modified_at for one in _versions(container)]
        return {
            "name": container.name,
            "creation_timestamp": _milliseconds(container.created_at),
            "last_updated_timestamp": _milliseconds(max([container.created_at, *changed])),
            "description": container.description or "",
            "latest_versions": [self._version(one) for one in latest.values()],
            "tags": _pairs(container.tags),
        }

    def _version(self, found: AssetVersion) -> Json:
        properties = found.properties
        uri = str(properties["modelUri"])
        return {
            "name": found.name,
            "version": found.version,
            "creation_timestamp": _milliseconds(found.created_at),
            "last_updated_timestamp": _milliseconds(found.modified_at),
            "user_id": self.user,
            "current_stage": _stage(found),
            "description": properties["description"] or "",
            "source": download_uri(uri, self.tracking_uri, self._experiment_of) or uri,
            "run_id": properties["jobName"] or "",
            "status": "READY",
            "tags": _pairs(properties["tags"]),
        }


def _versions(container: AssetContainer) -> Sequence[AssetVersion]:
    return [
        one for one in container.versions.values() if not one.properties["isArchived"] and not container.is_archived
    ]


def _stage(found: AssetVersion) -> str:
    stage = str(found.properties["stage"] or _NO_STAGE)
    return "None" if stage == _NO_STAGE else stage


def _tags(sent: Any) -> Json:
    pairs = [one for one in sent if isinstance(one, dict)] if isinstance(sent, list) else []
    return {str(one.get("key")): str(one.get("value", "")) for one in pairs}


def _pairs(tags: Mapping[str, Any] | None) -> list[Json]:
    return [{"key": key, "value": str(value)} for key, value in (tags or {}).items()]


def _tagged(tags: Mapping[str, Any] | None, sent: Mapping[str, Any]) -> Json:
    """Return tags with one more, or without one if the request has no value."""
    key = str(sent.get("key"))
    others = {name: value for name, value in (tags or {}).items() if name != key}
    return {**others, key: str(sent["value"])} if "value" in sent else others


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000)
