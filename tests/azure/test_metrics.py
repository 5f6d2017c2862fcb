"""Metrics of a job's run, as MLflow's API has them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.azure.hostile_client import TOKEN, Client
from tests.azure.hostile_server import WORKSPACE, Handler
from zenml_azureml.azure.jobs.metrics import fetch_metrics, metrics_of

#: Answer of "Get Run" of MLflow's REST API (mlflow.org/docs/latest/api_reference/rest-api.html#get-run).
RUN: dict[str, Any] = {
    "run": {
        "info": {"run_id": "job-1", "status": "FINISHED"},
        "data": {
            "metrics": [
                {"key": "loss", "value": 0.25, "timestamp": 1, "step": 9},
                {"key": "accuracy", "value": 1, "timestamp": 1, "step": 0},
            ],
            "params": [{"key": "rate", "value": "0.1"}],
        },
    }
}


def test_the_last_value_of_each_metric_is_read_with_one_request(client: Client) -> None:
    client.when("/runs/get", lambda handler: handler.json(RUN))
    assert client.connection.run_history_url  # which finds the address of both

    client.server.requests.clear()
    metrics = fetch_metrics(client.connection, "job-1")

    assert metrics == {"accuracy": 1.0, "loss": 0.25}
    assert client.server.requests == [f"GET /mlflow/v2.0{WORKSPACE}/api/2.0/mlflow/runs/get?run_id=job-1"]
    assert client.server.tokens[-1] == f"Bearer {TOKEN}"
    assert client.credential.scopes == {"https://management.azure.com/.default"}


@pytest.mark.parametrize("body", [{}, {"run": None}, {"run": {"data": {"metrics": [{"key": "loss"}]}}}, {"run": []}])
def test_another_answer_is_an_error_that_names_the_address(body: object, client: Client) -> None:
    def answer(handler: Handler) -> None:
        handler.json(body)

    client.when("/runs/get", answer)

    error = client.error_of(lambda ours: fetch_metrics(ours.connection, "job-1"))

    assert "/runs/get" in client.said(error)


@pytest.mark.parametrize("data", [{}, {"data": {}}, {"data": {"metrics": None}}, {"data": {"metrics": []}}])
def test_a_run_without_metrics_has_none(data: dict[str, Any]) -> None:
    assert metrics_of({"run": {"info": {}, **data}}) == {}


def test_what_json_cannot_store_is_a_text() -> None:
    values = {"a": "NaN", "b": "Infinity", "c": "-Infinity", "d": 1e300, "e": -1}
    metrics = [{"key": key, "value": value} for key, value in values.items()]

    found = metrics_of({"run": {"data": {"metrics": metrics}}})

    assert found == {"a": "nan", "b": "inf", "c": "-inf", "d": 1e300, "e": -1.0}
