"""Ids of runs and experiments: what clients send reaches the server in its own ids, and comes back in Azure ML's."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from zenml_azureml.emulator.services.mlflow.ids import Ids, experiments_in, runs_in

URI = "azureml://127.0.0.1:1/mlflow/v2.0/subscriptions/s"

_JOBS = {"Train": "a" * 32, "other": "b" * 32}
_EXPERIMENTS = {"0": "Default", "7": "digits"}

_LEAVES = st.one_of(st.none(), st.booleans(), st.floats(allow_nan=False), st.text(max_size=8))
_RUNS = st.sampled_from([*_JOBS, "c" * 32])
_GUIDS = st.sampled_from(["guid of Default", "guid of digits"])
_MEMBERS = st.one_of(
    st.fixed_dictionaries({"run_id": _RUNS}),
    st.fixed_dictionaries({"run_ids": st.lists(_RUNS, max_size=3), "experiment_id": _GUIDS}),
    st.fixed_dictionaries({"experiment_ids": st.lists(_GUIDS, max_size=3), "source_run_id": _RUNS}),
    st.dictionaries(st.sampled_from(["key", "value", "metrics", "info"]), _LEAVES, max_size=3),
)
_JSON = st.recursive(_MEMBERS, lambda below: st.dictionaries(st.just("data"), st.lists(below, max_size=3)))


def ids() -> Ids:
    made = Ids(lambda name: f"guid of {name}", URI)
    made.runs.update(_JOBS)
    made.experiments.update(_EXPERIMENTS)
    return made


@given(_JSON)
def test_a_round_trip_changes_nothing_and_the_server_sees_its_own_ids_only(sent: Any) -> None:
    there = ids().to_server(sent)

    assert ids().from_server(there) == sent
    assert not runs_in(there) & _JOBS.keys()
    assert experiments_in(there) <= _EXPERIMENTS.keys()


def test_names_of_jobs_match_in_any_case() -> None:
    assert ids().to_server({"run_id": "TRAIN"}) == {"run_id": "a" * 32}


def test_text_that_looks_like_an_id_stays() -> None:
    sent = {"tags": [{"key": "mlflow.parentRunId", "value": "Train"}], "params": [{"key": "run_id", "value": "other"}]}

    assert ids().to_server(sent) == sent


def test_places_of_artifacts_lead_to_run_history() -> None:
    places = {
        f"azureml://emulator/7/{'a' * 32}/artifacts": f"{URI}/experiments/digits/runs/Train/artifacts",
        f"azureml://emulator/7/{'c' * 32}/artifacts/model": f"{URI}/experiments/digits/runs/{'c' * 32}/artifacts/model",
        "azureml://emulator/7/models/m-1/artifacts": f"{URI}/experiments/digits/runs/m-1/artifacts",
        "azureml://emulator/0": f"{URI}/experiments/Default",
        "s3://elsewhere/7": "s3://elsewhere/7",
    }

    assert {uri: ids().from_server({"artifact_uri": uri})["artifact_uri"] for uri in places} == places


def test_a_model_that_a_job_has_logged_is_among_its_artifacts() -> None:
    known = ids()
    known.models["m-1"] = ("Train", "net")
    uri = "azureml://emulator/7/models/m-1/artifacts"

    found = known.from_server({"artifact_uri": uri, "more": {"artifact_uri": f"{uri}/MLmodel"}})

    assert found["artifact_uri"] == f"{URI}/experiments/digits/runs/Train/artifacts/net"
    assert found["more"]["artifact_uri"] == f"{URI}/experiments/digits/runs/Train/artifacts/net/MLmodel"
