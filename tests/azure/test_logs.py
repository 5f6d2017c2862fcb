"""A job's log, followed: each line once, whole, and in order."""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from azure.core.exceptions import AzureError, HttpResponseError, ServiceRequestError

from tests.azure.compute_world import World
from tests.azure.stripping_proxy import StrippingProxy, bundle_of, stripping_proxy
from tests.e2e.requests_of import requests_of
from zenml_azureml.azure.logs.blob_reader import storage_error_message
from zenml_azureml.azure.logs.streamer import (
    BYTES_PER_LOOK,
    FILES_PER_LOOK,
    FIRST_LISTING_INTERVAL,
    LogFollower,
    fetch_run_details,
)
from zenml_azureml.azure.logs.tail import LogEnd
from zenml_azureml.contract.usage import MARK, MEMORY, Metric, Usage, line_of
from zenml_azureml.emulator.resources import Job


@pytest.fixture
def follower(world: World, job: Job) -> LogFollower:
    return LogFollower(world.connection, job.name, world.clock.monotonic)


def write(job: Job, data: bytes, name: str = "std_log.txt") -> Path:
    file = job.log_folder / name
    file.parent.mkdir(exist_ok=True)
    with file.open("ab") as log:
        log.write(data)
    return file


def replace(job: Job, data: bytes, *, seconds_later: float = 0) -> None:
    """Have another file in the place of the log, as when a job is begun anew."""
    log, new = job.log_folder / "std_log.txt", job.folder / "new.txt"
    new.write_bytes(data)
    moment = log.stat().st_mtime + seconds_later
    os.utime(new, (moment, moment))
    new.replace(log)


class TestOneLog:
    def test_a_line_is_read_when_it_is_complete_and_only_once(self, follower: LogFollower, job: Job) -> None:
        write(job, b"one\ntw")
        assert follower.read_new() == ["one"]
        assert follower.read_new() == []
        write(job, b"o\nthree\n")
        assert follower.read_new() == ["two", "three"]

    def test_a_letter_that_is_cut_in_two_is_put_together(self, follower: LogFollower, job: Job) -> None:
        letter = "ü".encode()
        write(job, b"gr" + letter[:1])
        assert follower.read_new() == []
        write(job, letter[1:] + b"n\n")
        assert follower.read_new() == ["grün"]

    def test_at_the_end_an_unfinished_line_is_told_too(self, follower: LogFollower, job: Job) -> None:
        write(job, b"one\nlast wor")
        assert follower.read_new() == ["one"]

        lines, details = follower.read_rest()

        assert lines == ["last wor"]
        assert details.status == "Running"
        assert follower.read_rest()[0] == []

    def test_a_log_that_appears_late_is_found_at_once(self, follower: LogFollower, job: Job, world: World) -> None:
        world.sleep(600)
        assert follower.read_new() == []

        write(job, b"one\n")

        assert follower.read_new() == ["one"]

    def test_a_log_that_is_listed_before_it_is_written_is_no_error(
        self, follower: LogFollower, job: Job, world: World
    ) -> None:
        write(job, b"one\n")
        world.arm_fault(path="std_log", status=404, headers={"x-ms-version": "2021-12-02"})

        assert follower.read_new() == []
        assert follower.read_new() == ["one"]

    def test_a_log_that_begins_anew_is_read_from_its_beginning(self, follower: LogFollower, job: Job) -> None:
        write(job, b"first attempt\nunfinis")
        assert follower.read_new() == ["first attempt"]

        replace(job, b"second\n")

        assert follower.read_new() == ["unfinis", "second"]
        assert follower.read_new() == []

    def test_a_log_that_has_outgrown_the_one_before_is_read_from_its_beginning_too(
        self, follower: LogFollower, job: Job
    ) -> None:
        write(job, b"first attempt\n")
        assert follower.read_new() == ["first attempt"]

        replace(job, b"second attempt\nwhich has come further\n", seconds_later=60)

        assert follower.read_new() == ["second attempt", "which has come further"]

    def test_reports_of_the_sampler_are_read_and_not_shown(self, follower: LogFollower, job: Job) -> None:
        report = line_of(Usage(60, {MEMORY: Metric(3, 2, 16)})).encode()
        write(job, b"one\n" + report + b"\ntwo" + report + b"\n\nthree\n")
        assert follower.read_new() == ["one", "two", "", "three"]
        write(job, report.replace(b'"peak":3', b'"peak":5') + b"\n" + MARK.encode() + b"what?\n")
        assert follower.read_new() == []
        write(job, report[:-40])  # the job was killed meanwhile

        assert follower.read_rest()[0] == []
        end = follower.end
        assert end.lines == ("one", "two", "", "three")
        assert [usage.metrics[MEMORY].peak for usage in end.usages] == [5]


class TestSeveralLogs:
    def test_every_process_is_heard_by_its_name_and_nothing_else_in_its_folder(
        self, follower: LogFollower, job: Job
    ) -> None:
        write(job, b"of the first\n", "std_log_process_0.txt")
        write(job, b"of the second\n", "std_log_process_1.txt")
        write(job, b"nothing for a user\n", "other.txt")

        assert follower.read_new() == ["[process 0] of the first", "[process 1] of the second"]

    def test_a_file_that_appears_later_is_noticed(self, follower: LogFollower, job: Job, world: World) -> None:
        write(job, b"one\n")
        assert follower.read_new() == ["one"]
        write(job, b"again\n", "retry_001/std_log.txt")

        assert follower.read_new() == []
        world.sleep(FIRST_LISTING_INTERVAL)
        assert follower.read_new() == []  # lists the files
        assert follower.read_new() == ["[retry 1] again"]

    def test_many_files_are_read_in_turn(self, follower: LogFollower, job: Job, world: World) -> None:
        names = [f"std_log_process_{number:02}.txt" for number in range(20)]
        for name in names:
            write(job, f"I am {name}\n".encode(), name)

        looks = [follower.read_new() for _ in range(3)]

        assert [len(lines) for lines in looks] == [FILES_PER_LOOK, FILES_PER_LOOK, 4]
        assert sorted(line.rpartition(" ")[2] for lines in looks for line in lines) == names

    def test_lines_do_not_wait_for_another_file_that_cannot_be_read(
        self, follower: LogFollower, job: Job, world: World
    ) -> None:
        write(job, b"one\n", "std_log_process_0.txt")
        write(job, b"two\n", "std_log_process_1.txt")
        world.arm_fault(path="process_1", status=503)

        assert follower.read_new() == ["[process 0] one"]
        assert follower.read_new() == ["[process 1] two"]

    def test_each_node_has_a_report_and_those_of_an_earlier_attempt_do_not_count(
        self, follower: LogFollower, job: Job, world: World
    ) -> None:
        def report(node: int, peak: float) -> bytes:
            return line_of(Usage(60, {MEMORY: Metric(peak, 1, 16)}, node=node, nodes=2)).encode() + b"\n"

        for node in (0, 1):
            write(job, b"one\n" + report(node, 9), f"std_log_process_{node}.txt")
            write(job, b"two\n" + report(node, 3 + node), f"retry_001/std_log_process_{node}.txt")
        follower.read_end()

        assert [(usage.node, usage.metrics[MEMORY].peak) for usage in follower.end.usages] == [(0, 3), (1, 4)]


class TestRequestsThatFail:
    def test_what_was_not_read_is_read_by_the_next_call(self, follower: LogFollower, job: Job, world: World) -> None:
        write(job, b"one\n")
        world.arm_fault(path="std_log", status=503)

        with pytest.raises(HttpResponseError):
            follower.read_new()

        assert follower.read_new() == ["one"]

    def test_at_the_end_what_was_read_before_the_failure_is_not_lost(
        self, follower: LogFollower, job: Job, world: World
    ) -> None:
        write(job, b"one\nunfin", "std_log_process_0.txt")
        write(job, b"two\n", "std_log_process_1.txt")
        world.arm_fault(path="process_1", reset=True)

        with pytest.raises(AzureError):
            follower.read_rest()
        write(job, b"ished\n", "std_log_process_0.txt")

        assert follower.read_rest()[0] == ["[process 0] one", "[process 0] unfinished", "[process 1] two"]

    @pytest.mark.parametrize("status", [200, 404, 416])
    def test_the_page_of_a_proxy_is_no_log(self, status: int, follower: LogFollower, job: Job, world: World) -> None:
        write(job, b"one\n")
        assert follower.read_new() == ["one"]
        write(job, b"two\n")
        world.arm_fault(path="std_log", html="<p>You are not logged in.</p>", status=status)

        with pytest.raises(AzureError):
            follower.read_rest()

        assert follower.read_rest()[0] == ["two"]

    def test_logs_are_read_while_run_history_cannot_be(self, follower: LogFollower, job: Job, world: World) -> None:
        write(job, b"one\n")
        follower.read_new()
        world.sleep(60)
        world.arm_fault(path="details", status=503)
        write(job, b"two\n")

        assert follower.read_new() == ["two"]

    def test_an_expired_url_is_replaced_in_the_same_call(self, follower: LogFollower, job: Job, world: World) -> None:
        write(job, b"before\n")
        assert follower.read_new() == ["before"]
        world.sleep(world.emulator.context.settings.sas_lifetime + 1)
        world.sent.clear()
        write(job, b"after\n")

        assert follower.read_new() == ["after"]
        assert world.sent[:3] == ["GET std_log.txt", "GET details", "GET std_log.txt"]

    def test_a_log_that_may_not_be_read_is_told_of_once_and_does_not_end_the_watching(
        self, follower: LogFollower, job: Job, world: World
    ) -> None:
        write(job, b"one\n")
        follower.read_new()
        world.arm_fault(path="std_log", status=403, times=3)
        write(job, b"two\n")
        world.sent.clear()

        (told,) = follower.read_new()

        assert "`user_logs/std_log.txt` cannot be read" in told
        assert "Azure ML Studio" in told
        assert world.sent == ["GET std_log.txt", "GET details", "GET std_log.txt"]
        assert follower.read_new() == []
        assert len(world.sent) == 3, "it is not asked for again and again"
        assert follower.read_rest()[0] == [], "still refused, and told before"
        assert follower.read_rest()[0] == ["two"], "allowed again"

    def test_the_words_of_storage_are_told(self, job: Job, world: World) -> None:
        write(job, b"one\n")
        (url,) = fetch_run_details(world.connection, job.name).log_urls.values()
        world.sleep(world.emulator.context.settings.sas_lifetime + 1)

        with pytest.raises(HttpResponseError) as refusal:
            world.connection.read_blob(url, 0, 1)

        assert storage_error_message(refusal.value).startswith("(AuthenticationFailed) Server failed to authenticate")

    def test_an_error_holds_no_signature(self, world: World) -> None:
        signature = "c2VjcmV0"
        with pytest.raises(ServiceRequestError) as failure:
            world.connection.read_blob(f"https://127.0.0.1:1/azureml/std_log.txt?sv=2021&sig={signature}&sp=r", 0, 1)

        said = "".join(traceback.format_exception(failure.value)) + repr(failure.value)
        assert signature not in said
        assert "/azureml/std_log.txt" in said

    def test_urls_of_logs_are_no_part_of_a_repr(self, job: Job, world: World) -> None:
        write(job, b"one\n")

        details = fetch_run_details(world.connection, job.name)

        assert "sig=" in details.log_urls["user_logs/std_log.txt"]
        assert "sig=" not in repr(details)


@pytest.fixture
def stripping(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StrippingProxy]:
    """All requests go through a proxy that removes `x-ms-*` headers."""
    ca = trustme.CA()
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle_of(ca, tmp_path, world.emulator.ca_file)))
    with stripping_proxy(ca, world.emulator.ca_file) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        yield proxy


class TestAProxyThatStripsHeaders:
    """Answers without `x-ms-*` occur behind proxies of companies."""

    def test_a_log_is_followed_to_its_end(
        self, stripping: StrippingProxy, follower: LogFollower, job: Job, world: World
    ) -> None:
        write(job, b"one\n")
        assert follower.read_new() == ["one"]
        assert follower.read_new() == [], "416: nothing new"
        write(job, b"two\nlast")
        world.sleep(world.emulator.context.settings.sas_lifetime + 1)  # 403, and a new URL

        assert follower.read_rest()[0] == ["two", "last"]
        assert any("std_log" in path for path in stripping.stripped), "the proxy was in between"

    def test_a_log_that_is_listed_before_it_is_written_is_no_error(
        self, stripping: StrippingProxy, follower: LogFollower, job: Job
    ) -> None:
        write(job, b"")
        file = job.log_folder / "std_log.txt"
        follower.read_new()
        file.unlink()
        assert follower.read_new() == []

        write(job, b"one\n")

        assert follower.read_new() == ["one"]

    def test_the_words_of_storage_are_told(self, stripping: StrippingProxy, job: Job, world: World) -> None:
        write(job, b"one\n")
        (url,) = fetch_run_details(world.connection, job.name).log_urls.values()
        world.sleep(world.emulator.context.settings.sas_lifetime + 1)

        with pytest.raises(HttpResponseError) as refusal:
            world.connection.read_blob(url, 0, 1)

        assert storage_error_message(refusal.value).startswith("(AuthenticationFailed) Server failed to authenticate")

    @pytest.mark.parametrize("status", [200, 404, 416])
    def test_its_own_page_is_no_log(
        self, status: int, stripping: StrippingProxy, follower: LogFollower, job: Job
    ) -> None:
        write(job, b"one\n")
        assert follower.read_new() == ["one"]
        write(job, b"two\n")
        stripping.own_page = status

        with pytest.raises(AzureError):
            follower.read_new()

        assert follower.read_rest()[0] == ["two"]


class TestCosts:
    def test_a_long_log_is_sent_once_and_in_parts(self, follower: LogFollower, job: Job, world: World) -> None:
        line = "x" * 99
        write(job, f"{line}\n".encode() * 100_000)

        looks: list[list[str]] = []
        while lines := follower.read_new():
            looks.append(lines)
        write(job, b"last\n")
        rest, _ = follower.read_rest()

        assert [line for lines in looks for line in lines] + rest == [line] * 100_000 + ["last"]
        assert len(looks) == 3
        assert max(sum(len(line) + 1 for line in lines) for lines in looks) <= BYTES_PER_LOOK
        sent = sum(request["bytes_sent"] for request in requests_of(world.emulator))
        assert sent <= 1.02 * 10_000_000

    def test_the_rest_of_a_long_log_is_told_in_parts(self, follower: LogFollower, job: Job) -> None:
        write(job, b"x\n" * BYTES_PER_LOOK)
        parts: list[int] = []

        follower.tell_rest(lambda lines: parts.append(len(lines)))

        assert parts == [BYTES_PER_LOOK // 2, BYTES_PER_LOOK // 2, 0]

    def test_looking_costs_one_request_and_now_and_then_one_more(
        self, follower: LogFollower, job: Job, world: World
    ) -> None:
        write(job, b"one\n")
        for _ in range(300):
            follower.read_new()
            world.sleep(1)

        assert world.sent.count("GET std_log.txt") == 300
        # At the first look, and after 2, 6, 14, 30, 62, 122, 182 and 242 seconds.
        assert world.sent.count("GET details") == 9

    def test_the_end_of_a_log_that_nobody_follows_costs_little(
        self, follower: LogFollower, job: Job, world: World
    ) -> None:
        write(job, b"".join(b"line %d\n" % number for number in range(500_000)) + b"unfinished")

        details = follower.read_end()

        assert details.status == "Running"
        assert list(follower.end.lines) == [*(f"line {number}" for number in range(499_981, 500_000)), "unfinished"]
        assert sum(request["bytes_sent"] for request in requests_of(world.emulator)) < 200_000

    def test_the_end_of_a_short_log_is_all_of_it(self, follower: LogFollower, job: Job) -> None:
        write(job, b"one\ntwo\n")

        follower.read_end()

        assert list(follower.end.lines) == ["one", "two"]


class TestTheTail:
    def test_the_end_of_the_log_is_kept_without_what_colours_a_terminal(self, follower: LogFollower, job: Job) -> None:
        write(job, b"".join(b"\x1b[31mline %d\x1b[0m\n" % number for number in range(30)))

        lines = follower.read_new()

        assert lines[0] == "\x1b[31mline 0\x1b[0m"  # for the client's terminal
        assert list(follower.end.lines) == [f"line {number}" for number in range(10, 30)]

    def test_of_several_processes_the_one_that_failed_first_explains(self, follower: LogFollower, job: Job) -> None:
        write(job, b"fine\n" * 30, "std_log_process_0.txt")
        write(job, b"Traceback (most recent call last):\nMemoryError\n", "std_log_process_1.txt")
        follower.read_new()
        write(job, b"Traceback (most recent call last):\nBroken pipe to process 1\n", "std_log_process_0.txt")
        follower.read_rest()

        lines = ("Traceback (most recent call last):", "MemoryError")
        assert follower.end == LogEnd(lines, "process 1", is_first=False, is_blamed=True, exception="MemoryError")

    def test_a_process_that_azure_names_is_known_though_none_has_logged_anything(
        self, follower: LogFollower, job: Job
    ) -> None:
        for number in range(2):
            write(job, b"", f"std_log_process_{number}.txt")
        words = "exited with status code -9. Please check log file 'user_logs/std_log_process_0.txt' for error details."
        job.error = {"code": "UserError", "message": f"Execution failed. User process 'bash' {words}"}

        follower.read_rest()

        assert follower.end == LogEnd((), "process 0", is_first=True, is_blamed=True)
