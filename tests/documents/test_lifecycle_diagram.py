"""The diagram of a step's states."""

from __future__ import annotations

import pytest
from scripts.draw_lifecycle import PAGE, PICTURE, picture, with_table
from scripts.lifecycle_svg import draw

from zenml_azureml.lifecycle.state import StepPhase


def test_the_picture_and_the_table_are_drawn_from_the_transitions() -> None:
    assert with_table(PAGE.read_text()) == PAGE.read_text(), "run `python -m scripts.draw_lifecycle`"
    assert picture() == PICTURE.read_text(), "run `python -m scripts.draw_lifecycle`"


@pytest.mark.parametrize("phase", StepPhase)
def test_the_picture_has_every_phase(phase: StepPhase) -> None:
    assert f">{phase.value}<" in picture()


FRAMED = (StepPhase.SUBMITTING, StepPhase.QUEUED, StepPhase.RUNNING, StepPhase.MOVING)


def test_an_event_of_every_framed_phase_has_one_arrow() -> None:
    drawn = draw({(phase, StepPhase.CANCELLING): ["stop requested"] for phase in FRAMED})

    assert drawn.count(">stop requested<") == 1


def test_an_event_of_some_framed_phases_has_an_arrow_from_each() -> None:
    drawn = draw({(phase, StepPhase.CANCELLING): ["stop requested"] for phase in FRAMED[:2]})

    assert drawn.count(">stop requested<") == 2
