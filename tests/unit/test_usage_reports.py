"""Reports of the use of a job in its log and in metadata: what is written is read, and nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zenml_azureml.azure.jobs.run_history import details_of
from zenml_azureml.contract.usage import (
    CPU,
    MARK,
    MEMORY,
    Metric,
    Usage,
    line_of,
    usage_from,
    usages_in,
    without_report,
    without_reports,
)

USED = Usage(
    60,
    {CPU: Metric(1.5, 1, 4, 2), MEMORY: Metric(11, 8, 16)},
    gpus=1,
    gpu_name="Tesla T4",
    node=1,
    nodes=2,
    bucket_seconds=5,
    series={CPU: (None, 1.0, 1.5), MEMORY: (8.0, 11.0)},
)
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["seconds", "memory", "peak"]), inner),
)


def test_what_is_written_is_read() -> None:
    assert without_report(line_of(USED)) == (None, USED)
    assert usage_from(json.loads(json.dumps(USED.as_json()))) == USED


@given(st.text().filter(lambda text: MARK not in text))
def test_the_rest_of_a_line_is_kept(text: str) -> None:
    assert without_report(text) == (text, None)
    assert without_report(text + line_of(USED)) == (text or None, USED)


@given(JSON)
def test_anything_else_is_no_report(value: Any) -> None:
    found = usage_from(value)
    assert found is None or found.metrics
    rest, usage = without_report(MARK + json.dumps(value))
    assert rest is None
    assert usage is None or usage.metrics


@pytest.mark.parametrize("text", ["", "{", "[]", "[" * 100_000, '{"seconds": 1e999, "memory": {"peak": 1, "mean": 1}}'])
def test_a_report_that_was_cut_off_is_hidden_all_the_same(text: str) -> None:
    assert without_report(MARK + text) == (None, None)


def test_a_report_is_bounded_when_it_is_read() -> None:
    large = {**USED.as_json(), "nodes": 10**300, "gpu_name": "x" * 10_000, "series": {"cpu": [1] * 100_000}}
    found = usage_from(large)

    assert found is not None
    assert found.nodes <= 1_000_000
    assert len(json.dumps(found.as_json())) < 2_000


def test_azures_copy_of_a_log_has_no_reports() -> None:
    message = f"User process failed. Error: one\n{line_of(USED)}\ntwo{line_of(USED)}\n"
    assert without_reports(message) == "User process failed. Error: one\ntwo\n"
    details = details_of({"status": "Failed", "error": {"error": {"code": "UserError", "message": message}}})
    assert details.error == "User process failed. Error: one\ntwo"


def test_the_operators_summary_comes_before_the_reports_of_single_nodes() -> None:
    one, other = ({**USED.as_json(), "node": node} for node in (0, 1))
    posted = {"azureml_usage_node_1": other, "azureml_usage_node_0": one, "azureml_cost_usd": 1.0}

    assert [usage.node for usage in usages_in(posted)] == [0, 1]
    assert usages_in({**posted, "azureml_usage": {**USED.as_json(), "seconds": 90}}) == [
        usage_from({**USED.as_json(), "seconds": 90})
    ]
    assert usages_in({"azureml_usage": "unknown"}) == []


def test_a_report_that_arrives_after_the_operators_summary_is_not_lost() -> None:
    later = {"azureml_usage_node_0": {**USED.as_json(), "node": 0, "nodes": 1, "seconds": 75}}
    summary = {"azureml_usage": {**USED.as_json(), "node": 0, "nodes": 1}}

    assert [usage.seconds for usage in usages_in({**summary, **later})] == [75]
    # What one node of two has reported later does not replace what is known of both.
    of_both = {"azureml_usage": USED.as_json()}
    assert [usage.nodes for usage in usages_in({**of_both, **later})] == [2]
