"""The entrypoint of ranks: what it asks the server, when it holds its job, and what it replaces of ZenML."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest
import zenml

from zenml_azureml.contract.commands import ENTRYPOINT
from zenml_azureml.contract.variables import HOLD_MINUTES
from zenml_azureml.in_job import hold, ranked_step
from zenml_azureml.in_job.rank import JOB_NAME, Rank
from zenml_azureml.in_job.rank_barrier import folder_of, rank_zero_fails, report_failure
from zenml_azureml.in_job.rank_zero_only import (
    REFUSED,
    SILENT,
    NotInRerunError,
    NotOnThisRankError,
    disable_publishing,
    disable_publishing_again,
)
from zenml_azureml.in_job.ranked_step import RankedEntrypointConfiguration
from zenml_azureml.in_job.rerun import FailedCall

STEP_RUN = "0b2f0f8e-5a3e-4a52-9e0e-3b1c1b8f9a11"

Entrypoint = Callable[..., RankedEntrypointConfiguration]


@pytest.fixture
def entrypoint(monkeypatch: pytest.MonkeyPatch) -> Entrypoint:
    """Make the entrypoint of a rank of two."""

    def make(rank: int, hold_minutes: int = 0) -> RankedEntrypointConfiguration:
        for name, value in {"RANK": rank, "WORLD_SIZE": 2, HOLD_MINUTES: hold_minutes}.items():
            monkeypatch.setenv(name, str(value))
        options = {
            "entrypoint_config_source": ENTRYPOINT,
            "snapshot_id": STEP_RUN,
            "step_name": "trainer",
            "step_run_id": STEP_RUN,
        }
        made = RankedEntrypointConfiguration([f"--{name}={value}" for name, value in options.items()])
        made._failed = FailedCall("training.train", {})
        return made

    return make


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return folder_of(str(tmp_path), "zenml-1")


def at_once(_seconds: float) -> None:
    """Do not sleep."""


def test_a_rank_reads_its_step_run_once_and_reports_nothing_by_that(
    entrypoint: Entrypoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[UUID] = []

    def get_run_step(id_: UUID) -> Any:
        asked.append(id_)
        return SimpleNamespace(id=id_)

    server = SimpleNamespace(zen_store=SimpleNamespace(get_run_step=get_run_step))
    monkeypatch.setattr(ranked_step, "Client", lambda: server)
    of_rank = entrypoint(1)

    assert [of_rank.step_run.id for _ in range(2)] == [UUID(STEP_RUN)] * 2
    assert asked == [UUID(STEP_RUN)]


def test_the_report_of_rank_0_counts_for_one_attempt_of_a_job_with_a_hold(entrypoint: Entrypoint, folder: str) -> None:
    of_rank = entrypoint(0, hold_minutes=30)
    report_failure(folder, of_rank._rank)  # by an earlier attempt of the same job

    with of_rank._reports_for_hold(folder):
        assert not rank_zero_fails(folder, sleep=at_once)
        report_failure(folder, of_rank._rank)
        assert rank_zero_fails(folder, sleep=at_once)
    assert not Path(folder).exists()


def test_without_a_hold_rank_0_writes_no_report(entrypoint: Entrypoint, folder: str) -> None:
    with entrypoint(0)._reports_for_hold(folder):
        assert not Path(folder).exists()


@pytest.mark.parametrize("job", ["zenml-1", "zenml-1-2", ""])
def test_the_ranks_of_each_job_of_a_step_report_to_a_folder_of_their_own(
    job: str, entrypoint: Entrypoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the ranks of a job that was preempted have left says nothing about those of the next one."""
    server = SimpleNamespace(
        active_stack=SimpleNamespace(artifact_store=SimpleNamespace(path=str(tmp_path))),
        zen_store=SimpleNamespace(get_run_step=lambda id_: SimpleNamespace(id=id_)),
    )
    monkeypatch.setattr(ranked_step, "Client", lambda: server)
    monkeypatch.setenv(JOB_NAME, job)
    of_rank = entrypoint(1)
    monkeypatch.setattr(of_rank, "_run_function", lambda _step: None)
    monkeypatch.setattr(of_rank, "_watch_function", lambda *_: None)
    step: Any = SimpleNamespace(spec=SimpleNamespace(source=SimpleNamespace(import_path="training.train")))
    of_rank._run_step(step, cast("Any", None))

    assert [path.name for path in (tmp_path / "zenml_azureml" / "ranks").iterdir()] == [job or STEP_RUN]


@pytest.fixture
def held_until(monkeypatch: pytest.MonkeyPatch) -> list[datetime]:
    """The ends of holds, which take no time."""
    ends: list[datetime] = []
    monkeypatch.setattr(hold, "hold_until", lambda until, **_: ends.append(until))
    return ends


def fail(of_rank: RankedEntrypointConfiguration, folder: str) -> BaseException:
    """Let the function of a step fail; return what ends the process."""
    held = of_rank._hold_in(folder)
    with pytest.raises((ValueError, SystemExit)) as ended, held.after_report(), held.noting():
        raise ValueError("a shape does not fit")
    return ended.value


@pytest.mark.parametrize("minutes", [0, 30])
def test_a_failure_of_rank_0_is_announced_to_the_server_and_to_the_other_ranks_if_its_job_is_held(
    minutes: int, entrypoint: Entrypoint, folder: str, held_until: list[datetime], monkeypatch: pytest.MonkeyPatch
) -> None:
    announced: list[datetime] = []
    monkeypatch.setattr(ranked_step, "announce", announced.append)

    ended = fail(entrypoint(0, minutes), folder)

    assert isinstance(ended, SystemExit if minutes else ValueError)
    assert rank_zero_fails(folder, sleep=at_once) is bool(minutes)
    assert len(announced) == (1 if minutes else 0)
    assert held_until == announced


@pytest.mark.parametrize("minutes", [0, 30])
def test_another_rank_waits_longer_than_rank_0_holds_the_job(
    minutes: int, entrypoint: Entrypoint, folder: str, held_until: list[datetime]
) -> None:
    report_failure(folder, Rank(0, 2, 0, "RANK"))
    before = datetime.now(timezone.utc)

    ended = fail(entrypoint(1, minutes), folder)

    assert isinstance(ended, SystemExit if minutes else ValueError)
    assert [until - before >= timedelta(minutes=35) for until in held_until] == ([True] if minutes else [])


def test_a_failure_of_another_rank_alone_is_not_held(
    entrypoint: Entrypoint, folder: str, held_until: list[datetime], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranked_step, "rank_zero_fails", lambda folder: rank_zero_fails(folder, sleep=at_once))

    assert isinstance(fail(entrypoint(1, 30), folder), ValueError)
    assert held_until == []


@pytest.fixture
def code(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A module of a user with functions of ZenML, and one of its own; nothing stays replaced."""
    before = [
        (module, name, getattr(module, "__dict__", {}).get(name))
        for module in list(sys.modules.values())
        for name in (*SILENT, *REFUSED)
        if getattr(module, "__dict__", {}).get(name) is not None
    ]
    module = ModuleType("code_of_a_user")
    for name in ("log_metadata", "get_step_context"):
        setattr(module, name, getattr(zenml, name))
    module.__dict__["add_tags"] = own_add_tags
    module.__dict__["remove_tags"] = None
    monkeypatch.setitem(sys.modules, module.__name__, module)
    yield module
    for module, name, function in before:
        setattr(module, name, function)


def own_add_tags() -> str:
    return "the user's own"


def test_whatever_of_zenml_publishes_is_among_what_is_replaced() -> None:
    publishes = re.compile(r"(bulk_)?log_|add_|remove_|link_|save_|register_")

    assert {name for name in zenml.__all__ if publishes.match(name)} <= {*SILENT, *REFUSED}


@pytest.mark.parametrize(
    ("disable", "error", "said"),
    [
        (lambda: disable_publishing(Rank(1, 2, 0, "RANK")), NotOnThisRankError, "rank 0 publishes it"),
        (disable_publishing_again, NotInRerunError, "nothing is published when a function is run again"),
    ],
)
def test_a_function_that_publishes_does_nothing_wherever_it_was_imported(
    disable: Callable[[], None],
    error: type[RuntimeError],
    said: str,
    code: Any,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(zenml, "remove_tags")  # as in an older version of ZenML
    disable()

    for module in (code, zenml):
        assert module.log_metadata({"loss": 0.1}) is None
        with pytest.raises(error, match="`get_step_context` is not available here"):
            module.get_step_context()
    assert code.add_tags() == "the user's own"
    assert code.remove_tags is None
    assert [said in record.getMessage() for record in caplog.records] == [True] * 2
