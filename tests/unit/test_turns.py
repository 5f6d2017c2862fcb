"""Threads that want the same thing at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.contract.waiting import eventually
from zenml_azureml.azure.single_flight import Once, SingleFlight
from zenml_azureml.exceptions import AzureMLError


class Work:
    """Work that is over when the test says so."""

    def __init__(self, outcome: Callable[[], str]) -> None:
        self.begun = 0
        self.may_end = threading.Event()
        self._outcome = outcome

    def __call__(self) -> str:
        self.begun += 1
        assert self.may_end.wait(20)
        return self._outcome()


class Key:
    """Counts how often it is looked up; a thread that has looked it up has its turn, or knows whose turn it is."""

    def __init__(self) -> None:
        self.looked_up = 0

    def __hash__(self) -> int:
        self.looked_up += 1
        return 1


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


def fails(error: BaseException) -> str:
    raise error


def begin(pool: ThreadPoolExecutor, turns: SingleFlight[str], work: Work) -> list[Future[tuple[str, bool]]]:
    """Eight threads ask for the same; the first one of them is at work, the others wait for it."""
    key = Key()
    first = pool.submit(turns.take, key, "a cluster", work)
    eventually(lambda: work.begun)
    before = key.looked_up
    others = [pool.submit(turns.take, key, "a cluster", work) for _ in range(7)]
    eventually(lambda: key.looked_up == before + 7)
    return [first, *others]


def test_who_asks_for_the_same_shares_what_comes_of_it(pool: ThreadPoolExecutor) -> None:
    work = Work(lambda: "made")
    turns = SingleFlight[str]()
    asked = begin(pool, turns, work)
    work.may_end.set()

    assert [future.result() for future in asked] == [("made", True)] + [("made", False)] * 7
    assert work.begun == 1


def test_who_asks_for_something_else_has_a_turn_of_their_own(pool: ThreadPoolExecutor) -> None:
    turns, first, second = SingleFlight[str](), Work(lambda: "a cluster"), Work(lambda: "an instance")
    one = pool.submit(turns.take, "cpu", "a cluster", first)
    eventually(lambda: first.begun)
    other = pool.submit(turns.take, "cpu", "an instance", second)
    second.may_end.set()

    assert not second.begun
    first.may_end.set()

    assert one.result() == ("a cluster", True)
    assert other.result() == ("an instance", True)


def test_one_thing_does_not_wait_for_another(pool: ThreadPoolExecutor) -> None:
    turns, held, free = SingleFlight[str](), Work(lambda: "cpu"), Work(lambda: "gpu")
    one = pool.submit(turns.take, "cpu", "a cluster", held)
    eventually(lambda: held.begun)
    free.may_end.set()

    assert turns.take("gpu", "a cluster", free) == ("gpu", True)

    held.may_end.set()
    one.result()


def test_who_waits_for_a_turn_that_fails_has_one_of_their_own(pool: ThreadPoolExecutor) -> None:
    turns, work = SingleFlight[str](), Work(lambda: fails(AzureMLError("Too large.")))
    first, *others = begin(pool, turns, work)
    work.may_end.set()

    assert all(str(future.exception()) == "Too large." for future in [first, *others])
    assert work.begun == 8


def test_a_turn_that_is_interrupted_is_nobody_elses(pool: ThreadPoolExecutor) -> None:
    turns, work = SingleFlight[str](), Work(lambda: fails(KeyboardInterrupt()))
    first = pool.submit(turns.take, "cpu", "a cluster", work)
    eventually(lambda: work.begun)
    second = pool.submit(turns.take, "cpu", "a cluster", lambda: "made")
    assert not second.done()
    work.may_end.set()

    with pytest.raises(KeyboardInterrupt):
        first.result()
    assert second.result() == ("made", True)


def test_what_is_made_once_is_made_by_one_of_many_and_kept(pool: ThreadPoolExecutor) -> None:
    once, work = Once[str](), Work(lambda: "made")
    asked = [pool.submit(once.get, work) for _ in range(8)]
    eventually(lambda: work.begun)
    assert not once.results  # does not wait

    work.may_end.set()

    assert {future.result() for future in asked} == {"made"}
    assert once.get(lambda: fails(AssertionError("made again"))) == "made"
    assert (work.begun, once.results) == (1, ("made",))


def test_what_could_not_be_made_is_made_by_the_next(pool: ThreadPoolExecutor) -> None:
    once = Once[None]()

    with pytest.raises(AzureMLError, match="no such region"):
        once.get(lambda: fails(AzureMLError("no such region")))  # type: ignore[arg-type]

    once.get(lambda: None)
    assert once.results == (None,)
    once.get(lambda: fails(AssertionError("made again")))  # type: ignore[arg-type]
