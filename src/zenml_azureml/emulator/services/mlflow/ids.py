"""Names of runs and experiments: those of Azure ML, which clients use, and those of the MLflow server. Pure.

On Azure ML a job's run has the name of the job, and an experiment has a GUID. The server gives out ids of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from zenml_azureml.emulator.services.mlflow.server import ARTIFACT_ROOT

_RUN_KEYS = ("run_id", "run_uuid", "run_ids", "source_run_id")
_EXPERIMENT_KEYS = ("experiment_id", "experiment_ids", "mlflow_experiment_ids")
_PLACE_KEYS = ("artifact_uri", "artifact_location")
#: The id by which MLflow's clients know the experiment `Default` without asking.
DEFAULT_EXPERIMENT = "0"

_PLACE = re.compile(
    rf"{ARTIFACT_ROOT}/(?P<experiment>[^/]+)((/models)?/(?P<run>[^/]+)/artifacts(?P<rest>/.*)?)?", re.DOTALL
)


class Ids:
    """What Azure ML and the MLflow server call the same things.

    Args:
        guid_of: Returns Azure ML's id of an experiment by its name.
        tracking_uri: The workspace's, without a slash at the end; artifacts are below it.

    Attributes:
        runs: The server's ids of jobs' runs, by the names of the jobs.
        experiments: The names of experiments, by the server's ids.
        models: Jobs and paths of the models that are among the artifacts of jobs, by the models' ids.
    """

    def __init__(self, guid_of: Callable[[str], str], tracking_uri: str) -> None:
        self._guid_of = guid_of
        self._tracking_uri = tracking_uri
        self.runs: dict[str, str] = {}
        self.experiments: dict[str, str] = {}
        self.models: dict[str, tuple[str, str]] = {}

    def experiment_named(self, name: str) -> str | None:
        """Return the server's id of an experiment; None if it is not known."""
        return next((one for one, known in self.experiments.items() if known == name), None)

    def to_server(self, sent: Any) -> Any:
        """Return a request's JSON with the server's ids; ids that are not known stay."""
        lower = {name.lower(): run for name, run in self.runs.items()}
        guids = {self._guid_of(name): one for one, name in self.experiments.items()}
        return _replaced(sent, lambda run: lower.get(run.lower(), run), lambda one: guids.get(one, one), str)

    def from_server(self, found: Any) -> Any:
        """Return an answer's JSON with Azure ML's ids and places of artifacts."""
        jobs = {run: name for name, run in self.runs.items()}

        def guid(one: str) -> str:
            return self._guid_of(self.experiments[one]) if one in self.experiments else one

        def place(uri: str) -> str:
            match = _PLACE.fullmatch(uri)
            if match is None:
                return uri
            experiment = self.experiments.get(match["experiment"], match["experiment"])
            above = f"{self._tracking_uri}/experiments/{experiment}"
            if not match["run"]:
                return above
            rest = match["rest"] or ""
            if match["run"] in self.models:
                job, path = self.models[match["run"]]
                return f"{above}/runs/{job}/artifacts/{path}{rest}"
            # Guess: the artifacts of any other model that MLflow 3 logs are those of a run with the model's id.
            return f"{above}/runs/{jobs.get(match['run'], match['run'])}/artifacts{rest}"

        return _replaced(found, lambda run: jobs.get(run, run), guid, place)


def runs_in(sent: Any) -> set[str]:
    """Return the ids of all runs that JSON names."""
    return set(_values(sent, _RUN_KEYS))


def experiments_in(sent: Any) -> set[str]:
    """Return the ids of all experiments that JSON names."""
    return set(_values(sent, _EXPERIMENT_KEYS))


def _values(found: Any, keys: tuple[str, ...]) -> Iterator[str]:
    if isinstance(found, list):
        for item in found:
            yield from _values(item, keys)
    elif isinstance(found, dict):
        for key, value in found.items():
            if key in keys:
                yield from (one for one in (value if isinstance(value, list) else [value]) if isinstance(one, str))
            else:
                yield from _values(value, keys)


def _replaced(
    found: Any, run: Callable[[str], str], experiment: Callable[[str], str], place: Callable[[str], str]
) -> Any:
    if isinstance(found, list):
        return [_replaced(item, run, experiment, place) for item in found]
    if not isinstance(found, dict):
        return found
    changes = {**dict.fromkeys(_RUN_KEYS, run), **dict.fromkeys(_EXPERIMENT_KEYS, experiment)}
    changes |= dict.fromkeys(_PLACE_KEYS, place)
    return {
        key: _each(value, changes[key]) if key in changes else _replaced(value, run, experiment, place)
        for key, value in found.items()
    }


def _each(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, list):
        return [_each(one, change) for one in value]
    return change(value) if isinstance(value, str) else value
