"""Bindings of a pipeline's nodes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zenml_azureml.emulator.jobs.pipelines.bindings import (
    BindingError,
    bound_input,
    bound_output,
    order,
    upstream,
    with_given_options,
)

INPUTS = {
    "rate": {"jobInputType": "literal", "value": "0.1"},
    "data": {"jobInputType": "uri_folder", "uri": "azureml:data:1", "mode": "ReadOnlyMount"},
}


def output_of(node: str, output: str) -> tuple[str, str] | None:
    return ("uri_file", f"{node}/{output}") if output == "out" else None


def bound(value: Any, kind: str | None = None) -> Any:
    return bound_input(value, kind, INPUTS, output_of)


def literal(text: str) -> dict[str, Any]:
    return {"jobInputType": "literal", "value": text}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7", literal("7")),
        ("${{parent.inputs.rate}}", INPUTS["rate"]),
        ("${{ parent.inputs.data }}", INPUTS["data"]),
        ("${{parent.inputs.data.path}}", INPUTS["data"]),
        ("${{parent.inputs.none}}", None),
        ("a-${{parent.inputs.rate}}-b", literal("a-0.1-b")),
        ("x ${{parent.inputs.data}} ${{parent.jobs.n.outputs.out}}", literal("x azureml:data:1 n/out")),
        ("${{parent.jobs.n.outputs.out}}", {"jobInputType": "uri_file", "uri": "n/out", "mode": None}),
        ("${{inputs.rate}}", literal("${{inputs.rate}}")),
    ],
)
def test_an_input_has_the_value_that_it_is_bound_to(text: str, expected: Any) -> None:
    assert bound({"job_input_type": "literal", "value": text}) == expected


def test_the_type_is_that_of_the_component_and_the_mode_that_of_the_node() -> None:
    sent = {"job_input_type": "literal", "value": "${{parent.jobs.n.outputs.out}}", "mode": "Download"}
    assert bound(sent, "uri_folder") == {"jobInputType": "uri_folder", "uri": "n/out", "mode": "Download"}
    assert bound({**sent, "value": "${{parent.inputs.data}}"})["mode"] == "Download"
    assert bound({"job_input_type": "uri_file", "uri": "https://example.org/x"}) == {
        "jobInputType": "uri_file",
        "uri": "https://example.org/x",
        "mode": None,
    }


def test_an_output_that_is_not_there_is_an_error() -> None:
    with pytest.raises(BindingError, match="The node 'n' has no output 'other'"):
        bound({"value": "${{parent.jobs.n.outputs.other}}"})


def test_outputs_of_the_pipeline_are_those_of_nodes() -> None:
    outputs = {"model": {"type": "literal", "value": "${{parent.outputs.best}}"}, "other": {"mode": "Upload"}}
    assert bound_output({"outputs": outputs}, "model") == "best"
    assert bound_output({"outputs": outputs}, "other") is None
    assert bound_output({}, "model") is None


@pytest.mark.parametrize(
    ("given_inputs", "expected"), [(set(), "run "), ({"a"}, "run --a ${{inputs.a}}"), ({"b"}, "run ")]
)
def test_options_without_a_value_are_left_out(given_inputs: set[str], expected: str) -> None:
    assert with_given_options("run $[[--a ${{inputs.a}}]]", given_inputs) == expected


def needing(*names: str) -> dict[str, Any]:
    return {"inputs": {f"i{name}": {"value": f"${{{{parent.jobs.{name}.outputs.out}}}}"} for name in names}}


@given(st.lists(st.sets(st.integers(0, 7)), min_size=1, max_size=8), st.randoms())
def test_each_node_comes_after_those_that_it_needs(needs: list[set[int]], random: Any) -> None:
    # A node needs only earlier ones, so there is an order.
    nodes = {f"n{at}": needing(*(f"n{other}" for other in wanted if other < at)) for at, wanted in enumerate(needs)}
    shuffled = list(nodes)
    random.shuffle(shuffled)

    found = order({name: nodes[name] for name in shuffled})

    assert sorted(found) == sorted(nodes)
    for at, name in enumerate(found):
        assert upstream(nodes[name]) <= set(found[:at])


def test_nodes_that_need_each_other_or_none_that_exists_have_no_order() -> None:
    with pytest.raises(BindingError, match="The nodes a, b need each other's outputs"):
        order({"a": needing("b"), "b": needing("a"), "c": needing()})
    with pytest.raises(BindingError, match="bound to the node 'x', which does not exist"):
        order({"a": needing("x")})
