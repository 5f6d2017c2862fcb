"""Places of models: as MLflow names them, and as Azure ML's model assets do. Pure.

A model that MLflow logs is among the artifacts of a run, and so in the datastore `workspaceartifactstore`. There are
models, too, that a client has uploaded from a folder.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from zenml_azureml.emulator.services.aml.datastore_uris import parse_uri, short_uri
from zenml_azureml.emulator.services.aml.output_references import output_reference

_ARTIFACT_STORE = "workspaceartifactstore"
#: Artifacts of a run, as clients get them from the tracking server.
_OF_RUN = re.compile(r"azureml://.+/experiments/[^/]+/runs/(?P<run>[^/?]+)/artifacts(?:/(?P<path>[^?]*))?(?:\?.*)?")
#: A model of MLflow 3; its artifacts are those of a run with its id, unless a job has them (see `ids.py`).
_LOGGED_MODEL = re.compile(r"models:/+(?P<run>m-[0-9a-f]{32})/?(?P<path>)")
_MODEL_ID = re.compile(r"m-[0-9a-f]{32}")
_RUNS = re.compile(r"runs:/+(?P<run>[^/]+)(?:/(?P<path>.*))?")
#: Artifacts that a client has uploaded.
_UPLOADED = re.compile(r"azureml://artifacts/(?P<path>LocalUpload/.+)")
_STORED = re.compile(r"ExperimentRun/dcid\.(?P<run>[^/]+)(?:/(?P<path>.*))?")


def asset_uri(source: str, models: Mapping[str, tuple[str, str]]) -> str | None:
    """Return the URI of a model asset for the source of a model version; None if the source is of no known form.

    Args:
        source: As MLflow's client sends it.
        models: Jobs and paths of models that are among the artifacts of jobs, by the models' ids.
    """
    found = _OF_RUN.fullmatch(source) or _LOGGED_MODEL.fullmatch(source) or _RUNS.fullmatch(source)
    if found is not None:
        run, path = models.get(found["run"], (found["run"], ""))
        parts = (f"ExperimentRun/dcid.{run}", path, (found["path"] or "").strip("/"))
        return short_uri(_ARTIFACT_STORE, "/".join(part for part in parts if part))
    uploaded = _UPLOADED.fullmatch(source)
    if uploaded is not None:
        return short_uri(_ARTIFACT_STORE, uploaded["path"])
    return source if parse_uri(source) or output_reference(source) else None


def run_of(model_uri: str) -> str | None:
    """Return the run whose artifacts a model asset consists of; None if there is none.

    MLflow 3 does not name the run of a model that it logs when it registers the model.

    Args:
        model_uri: Of the model asset.
    """
    found = _stored(model_uri)
    return found["run"] if found and not _MODEL_ID.fullmatch(found["run"]) else None


def download_uri(model_uri: str, tracking_uri: str, experiment_of: Callable[[str], str]) -> str | None:
    """Return the URI from which azureml-mlflow downloads a model; None if its files are no artifacts.

    Args:
        model_uri: Of the model asset.
        tracking_uri: The workspace's, without a slash at the end.
        experiment_of: Returns the name of the experiment of a run.
    """
    found = _stored(model_uri)
    if found is None:
        uploaded = _UPLOADED.fullmatch(f"azureml://artifacts/{_path_of(model_uri)}")
        return uploaded[0] if uploaded else None
    path = f"/{found['path']}" if found["path"] else ""
    return f"{tracking_uri}/experiments/{experiment_of(found['run'])}/runs/{found['run']}/artifacts{path}"


def _stored(model_uri: str) -> re.Match[str] | None:
    return _STORED.fullmatch(_path_of(model_uri))


def _path_of(model_uri: str) -> str:
    """Return where a model is in the datastore of artifacts; empty if it is elsewhere."""
    place = parse_uri(model_uri)
    return place[1].strip("/") if place and place[0] == _ARTIFACT_STORE else ""
