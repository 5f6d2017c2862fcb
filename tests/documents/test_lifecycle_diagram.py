"""The diagram of a step's states."""

from __future__ import annotations

from scripts.draw_lifecycle import PAGE, diagram, with_drawing

from zenml_azureml.lifecycle.state import StepPhase


def test_the_diagram_is_drawn_from_the_transitions() -> None:
    assert with_drawing(PAGE.read_text()) == PAGE.read_text(), "run `python -m scripts.draw_lifecycle`"


def test_the_diagram_has_every_phase() -> None:
    assert all(f" {phase.name}" in diagram() for phase in StepPhase)
