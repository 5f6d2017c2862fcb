"""What the inputs and outputs of a pipeline's nodes are bound to: pure.

The forms are those that azure-ai-ml sends (recorded in its tests: pipeline_job, dsl), and that Microsoft documents in
"CLI (v2) pipeline job YAML schema".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from zenml_azureml.emulator.types import Json

_NAME = r"[A-Za-z0-9_-]+"
_BINDING = re.compile(
    rf"\$\{{\{{\s*parent\.(?:inputs\.(?P<input>{_NAME}(?:\.(?!path\b){_NAME})*)(?:\.path)?"
    rf"|jobs\.(?P<node>{_NAME})\.outputs\.(?P<output>{_NAME})(?:\.path)?"
    rf"|outputs\.(?P<result>{_NAME}))\s*\}}\}}"
)
#: A part of a component's command that is left out if one of its inputs has no value.
_OPTIONAL = re.compile(r"\$\[\[(.*?)\]\]", re.DOTALL)
_OWN_INPUT = re.compile(rf"\$\{{\{{\s*inputs\.({_NAME})(?:\.{_NAME})*\s*\}}\}}")

#: Returns type and URI of an output of a node; None if the node has no such output.
OutputOf = Callable[[str, str], tuple[str, str] | None]


class BindingError(Exception):
    """A binding that leads to nothing, or to a value that the input does not take; the message names it."""


def upstream(node: Mapping[str, Any]) -> set[str]:
    """Return the names of the nodes whose outputs are inputs of a node.

    Args:
        node: The node as it was sent.
    """
    found = set()
    for sent in (node.get("inputs") or {}).values():
        for text in _texts(sent):
            found |= {match["node"] for match in _BINDING.finditer(text) if match["node"]}
    return found


def order(nodes: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the names of nodes so that each comes after those that it needs.

    Args:
        nodes: The nodes by name.

    Raises:
        BindingError: If a node needs one that does not exist, or itself by way of others.
    """
    waiting = {name: upstream(node) for name, node in nodes.items()}
    for name, needed in waiting.items():
        for other in sorted(needed - waiting.keys()):
            raise BindingError(f"The input of the node '{name}' is bound to the node '{other}', which does not exist.")
    done: list[str] = []
    while waiting:
        ready = [name for name, needed in waiting.items() if needed <= set(done)]
        if not ready:
            raise BindingError(f"The nodes {', '.join(sorted(waiting))} need each other's outputs.")
        done += ready
        waiting = {name: needed for name, needed in waiting.items() if name not in ready}
    return done


def bound_output(node: Mapping[str, Any], name: str) -> str | None:
    """Return the output of the pipeline that an output of a node is; None if it is none.

    Args:
        node: The node as it was sent.
        name: Of its output.
    """
    sent = (node.get("outputs") or {}).get(name)
    found = _BINDING.fullmatch(str(sent.get("value") if isinstance(sent, dict) else sent))
    return found["result"] if found else None


def bound_input(sent: Any, kind: str | None, pipeline_inputs: Mapping[str, Json], output_of: OutputOf) -> Json | None:
    """Return an input of a node's job as Resource Manager has it; None if it has no value.

    Args:
        sent: The input as it was sent.
        kind: Type of the input in the node's component; None if the component does not have it.
        pipeline_inputs: Inputs of the pipeline by name, as Resource Manager has them.
        output_of: Finds the outputs of other nodes.

    Raises:
        BindingError: If a binding leads to nothing.
    """
    own: Json = dict(sent) if isinstance(sent, dict) else {"value": sent}
    if own.get("uri") is not None:
        return _data(str(own.get("job_input_type") or own.get("type") or kind), own["uri"], own)
    text = "" if own.get("value") is None else str(own["value"])
    whole = _BINDING.fullmatch(text.strip())
    if whole is not None and whole["input"]:
        found = pipeline_inputs.get(whole["input"])
        if found is None:
            return None
        return {**found, "mode": own["mode"]} if own.get("mode") and "uri" in found else dict(found)
    if whole is not None and whole["node"]:
        is_data = kind in ("uri_file", "uri_folder", "mltable") or str(kind).endswith("_model")
        output_kind, uri = _output(output_of, whole)
        return _data(str(kind) if is_data else output_kind, uri, own)
    return {
        "jobInputType": "literal",
        "value": _BINDING.sub(lambda match: _text(match, pipeline_inputs, output_of), text),
    }


def check_range(name: str, value: str, declaration: Mapping[str, Any]) -> None:
    """Check a value of an input with the least and the greatest value that its component declares.

    Source: azure-ai-ml's documentation of `Input` ("the job execution will fail"). Guess: the pipeline fails when it
    comes to the node, and the message.

    Args:
        name: Name of the input.
        value: The value.
        declaration: The input as its component declares it.

    Raises:
        BindingError: If it is out of range.
    """
    number = _number(value)
    least, greatest = _number(declaration.get("min")), _number(declaration.get("max"))
    if number is None:
        return
    if least is not None and number < least:
        raise BindingError(f"The value {value} of the input '{name}' is smaller than its minimum {declaration['min']}.")
    if greatest is not None and number > greatest:
        raise BindingError(f"The value {value} of the input '{name}' is larger than its maximum {declaration['max']}.")


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def settled(sent: Any, pipeline_inputs: Mapping[str, Json]) -> Any:
    """Return a setting of a node with the values of the pipeline's inputs that it is bound to.

    Args:
        sent: The setting as it was sent: a text, or an object or a list of such.
        pipeline_inputs: Inputs of the pipeline by name, as Resource Manager has them.
    """
    if isinstance(sent, Mapping):
        return {key: settled(value, pipeline_inputs) for key, value in sent.items()}
    if isinstance(sent, list):
        return [settled(value, pipeline_inputs) for value in sent]
    if not isinstance(sent, str):
        return sent
    return _BINDING.sub(lambda match: _text(match, pipeline_inputs, lambda _node, _output: None), sent)


def with_given_options(command: str, given: set[str]) -> str:
    """Return a component's command without the optional parts whose inputs have no value.

    Args:
        command: The command, e.g. `python train.py $[[--rate ${{inputs.rate}}]]`.
        given: Names of the inputs that have a value.
    """
    return _OPTIONAL.sub(lambda part: part[1] if set(_OWN_INPUT.findall(part[1])) <= given else "", command)


def _texts(sent: Any) -> list[str]:
    values = sent.values() if isinstance(sent, dict) else (sent,)
    return [value for value in values if isinstance(value, str)]


def _data(kind: str, uri: Any, own: Json) -> Json:
    return {"jobInputType": kind, "uri": str(uri), "mode": own.get("mode")}


def _output(output_of: OutputOf, match: re.Match[str]) -> tuple[str, str]:
    found = output_of(match["node"], match["output"])
    if found is None:
        raise BindingError(f"The node '{match['node']}' has no output '{match['output']}'.")
    return found


def _text(match: re.Match[str], pipeline_inputs: Mapping[str, Json], output_of: OutputOf) -> str:
    if match["node"]:
        return _output(output_of, match)[1]
    found = pipeline_inputs.get(match["input"] or "", {})
    return str(found.get("value", found.get("uri") or ""))
