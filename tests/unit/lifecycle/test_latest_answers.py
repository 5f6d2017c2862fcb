"""Answers of ZenML's server: how often it is asked, and how long an answer counts."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from tests.unit.test_stop_checks import PatientTime
from zenml_azureml.lifecycle.latest_answers import LatestAnswers

RUN, OTHER = uuid4(), uuid4()


class Server:
    """It answers the number of the request, or not at all."""

    def __init__(self) -> None:
        self.asked: list[UUID] = []
        self.is_away = False
        self.time = PatientTime()
        self.answers = LatestAnswers(self._ask, 0, timedelta(seconds=2), self.time)

    def _ask(self, run_id: UUID) -> int:
        self.asked.append(run_id)
        if self.is_away:
            raise ConnectionError
        return len(self.asked)

    def answer_after(self, seconds: float, run_id: UUID = RUN) -> int:
        self.time.sleep(seconds)
        return self.answers.answer(run_id)


def test_the_server_is_asked_again_when_the_interval_is_over_and_not_before() -> None:
    server = Server()

    assert [server.answer_after(seconds) for seconds in (0, 1.5, 0.5, 1.5, 0.5)] == [1, 1, 2, 2, 3]
    assert server.asked == [RUN] * 3


def test_each_run_has_an_answer_of_its_own() -> None:
    server = Server()

    assert [server.answer_after(0, run) for run in (RUN, OTHER, RUN)] == [1, 2, 1]


@pytest.mark.parametrize(("seconds", "known"), [(2, 1), (600, 1), (600.5, 0)])
def test_a_server_that_is_away_leaves_the_answer_until_nothing_has_asked_for_ten_minutes(
    seconds: float, known: int
) -> None:
    server = Server()
    assert server.answer_after(0) == 1
    server.is_away = True

    assert server.answer_after(seconds) == known
    assert server.asked == [RUN, RUN]


def test_nothing_is_kept_of_a_run_that_nothing_asks_about() -> None:
    server = Server()
    server.answer_after(0)

    server.answer_after(601, OTHER)

    assert list(server.answers._known) == [OTHER]
