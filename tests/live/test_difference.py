"""Differences of two runs: answers are put in pairs, also where one side was asked more often."""

from __future__ import annotations

from typing import Any

from tests.live.difference import Difference, differences, table

PATH = "/subscriptions/<subscription>/resourceGroups/<group>/providers/X/workspaces/<workspace>"


def answer(method: str, path: str, body: Any, status: int = 200, **headers: str) -> dict[str, Any]:
    return {
        "kind": "recording",
        "api_version": "2024-04-01",
        "region": "westeurope",
        "method": method,
        "path": f"{PATH}/{path}?api-version=2024-04-01",
        "request_body": None,
        "status": status,
        "response_headers": {"Content-Type": "application/json", **headers},
        "response_body": body,
    }


def job(status: str, **more: Any) -> dict[str, Any]:
    return answer("GET", "jobs/a", {"properties": {"status": status, **more}})


def found(azure: list[Any], emulator: list[Any]) -> list[tuple[str, str]]:
    return [(one.kind, one.text) for one in differences({"t": azure}, {"t": emulator})]


def test_a_job_that_was_polled_more_often_is_the_same() -> None:
    azure = [job("Starting"), job("Queued"), job("Running"), job("Running"), job("Completed")]

    assert found(azure, [job("Running"), job("Completed")]) == []


def test_another_end_is_a_difference() -> None:
    assert [kind for kind, _ in found([job("Running"), job("Failed")], [job("Running"), job("Completed")])] == ["value"]


def test_a_write_may_meet_a_job_earlier_or_later_on_its_way() -> None:
    azure, here = (answer("PUT", "jobs/a", {"properties": {"status": state}}) for state in ("Preparing", "Starting"))
    ended, failed = (answer("PUT", "jobs/a", {"properties": {"status": state}}) for state in ("Completed", "Failed"))

    assert found([azure], [here]) == []
    assert [kind for kind, _ in found([ended], [failed])] == ["value"]


def test_an_answer_that_only_one_side_gave_is_a_difference() -> None:
    put = answer("PUT", "jobs/a", {}, 201)

    assert found([put, put], [put]) == [("request", "only on Azure: 201")]
    assert found([put], [put, put]) == [("request", "only here: 201")]


def test_a_log_may_be_read_sooner_or_later_and_its_measurements_are_not_compared() -> None:
    def log(text: str) -> dict[str, Any]:
        return answer("GET", "user_logs/std_log.txt", text)

    usage = 'zenml-azureml usage: {"seconds":%s}\n'

    assert found([log("it sleeps\n" + usage % 1)], [log("it sleeps\n")]) == []
    assert found([log(usage % 1 + "it ends\n")], [log("it sle" + usage % 2)]) != []
    assert found([log(usage % 1 + "it ends\n")], [log(usage % 2 + "it ends\n")]) == []
    assert found([log("it")], [log("it ends\n")]) == []
    assert [kind for kind, _ in found([log("it sleeps\n")], [log("it ends\n")])] == ["value"]
    assert [kind for kind, _ in found([log("")], [log("it ends\n")])] == ["value"]
    other = [answer("GET", "discovery", "it")], [answer("GET", "discovery", "it ends\n")]
    assert [kind for kind, _ in found(*other)] == ["value"], "only logs grow"


def test_the_jobs_of_a_test_are_compared_one_by_one() -> None:
    def submitted(reference: str, command: str, *states: str) -> list[dict[str, Any]]:
        path = f"jobs/zenml-<uuid-{reference}>"
        reads = [answer("GET", path, {"properties": {"status": state, "command": command}}) for state in states]
        return [answer("PUT", path, {}, 201), *reads]

    azure = [*submitted("00000001", "write", "Running"), *submitted("00000002", "read", "Completed")]
    first = submitted("0000000a", "write", "Running", "Completed")

    assert found(azure, [*first, *submitted("0000000b", "read", "Completed")]) == []
    other = found(azure, [*first, *submitted("0000000b", "wait", "Completed")])
    assert [kind for kind, _ in other] == ["value"]


def test_each_state_is_compared() -> None:
    azure = [job("Running", extra=1), job("Completed")]

    assert found(azure, [job("Running"), job("Completed")]) == [
        ("structure", "a value recorded, absent here: .properties.extra")
    ]


def test_references_of_different_runs_are_the_same_if_they_stand_for_the_same() -> None:
    azure = [answer("PUT", "a", {"id": "<uuid-11111111>"}), answer("GET", "a", {"of": "<uuid-11111111>"})]
    here = [answer("PUT", "a", {"id": "<uuid-22222222>"}), answer("GET", "a", {"of": "<uuid-22222222>"})]

    assert found(azure, here) == []
    here[1] = answer("GET", "a", {"of": "<uuid-33333333>"})
    ((kind, text),) = found(azure, here)
    assert (kind, text[:18]) == ("identity", "identity: .of is <")


def test_times_durations_and_numbers_of_runs_are_not_compared() -> None:
    azure = answer("GET", "a", {"n": "2026-11-30-01-23-37-733407", "d": "00:00:00.37", "runNumber": 7})
    here = answer("GET", "a", {"n": "2026-11-30-01-24-33-618045", "d": "00:00:12.36", "runNumber": 8})

    assert found([azure], [here]) == []


def test_the_table_counts_by_kind_and_marks_what_is_declared() -> None:
    rows = [Difference("t", "GET jobs", "value", "a"), Difference("t", "GET jobs", "status", "b", "since 2025")]

    lines = table(rows, 7).splitlines()

    assert lines[0] == "t | GET jobs | value | a"
    assert lines[1].endswith("(declared: since 2025)")
    assert lines[2] == "2 differences in 7 answers (1 status, 1 value; 1 declared)"
