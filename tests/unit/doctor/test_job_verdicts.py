"""`doctor --run-job`: the verdicts about a job, from its lines and from how it ended. Pure."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zenml_azureml.contract import checks
from zenml_azureml.contract.checks import GPUS, IMAGE, KEY_VAULT, NODES, SERVER, Report, report_in
from zenml_azureml.contract.commands import prepared
from zenml_azureml.contract.variables import RANKS, VAULT_SECRET
from zenml_azureml.doctor.result import Finding, Problem, Status
from zenml_azureml.doctor.run_job.command import bare_program, command
from zenml_azureml.doctor.run_job.verdicts import CHECKS, Expected, findings
from zenml_azureml.in_job.checks import bare

WHOLE = Report(IMAGE, "ok", "It starts", {"python": "Python 3.12", "package": " and zenml-azureml"})
LOST = Problem("The job `j` failed: no capacity.", "Choose another size.")


def judged(*reports: Report, **expected: Any) -> dict[str, Finding]:
    return {found.check: found for found in findings(reports, Expected(**expected))}


def gpu(driver: int, node: int = 0, **more: Any) -> Report:
    return Report(GPUS, "ok", f"The driver shows {driver}", {"driver": driver, "node": node, **more})


def test_a_job_that_did_not_start_fails_with_its_cause_and_leaves_the_rest_unchecked() -> None:
    found = judged(failure=LOST, by_vault=True)

    assert found[IMAGE] == Finding(IMAGE, Status.FAILED, LOST.what, LOST.hint)
    assert found[SERVER] == Finding(SERVER, Status.UNKNOWN, "Not checked: the job did not get that far.")
    assert list(found) == list(CHECKS)


def test_an_exec_format_error_in_azures_message_names_the_platform() -> None:
    found = judged(failure=Problem("The job failed. Azure: exec /bin/sh: exec format error", "Look at the log."))

    assert "linux/amd64" in found[IMAGE].hint


def test_a_job_that_ended_between_two_checks_says_why() -> None:
    found = judged(WHOLE, failure=LOST)

    assert found[IMAGE].status is Status.OK
    assert found[SERVER] == Finding(SERVER, Status.UNKNOWN, f"Not checked: {LOST.what}", LOST.hint)


def test_a_job_that_completes_without_a_word_fails() -> None:
    assert judged()[IMAGE].found == "The job completed, but its log has no results."


def test_a_failure_on_one_node_outranks_the_others() -> None:
    lines = [Report(NODES, "ok", "All"), Report(NODES, "failed", "Node 1 is lost."), Report(NODES, "ok", "All")]

    assert judged(WHOLE, *lines, nodes=3)[NODES].found == "Node 1 is lost."
    assert judged(WHOLE, *lines, nodes=3)[NODES].status is Status.FAILED


@pytest.mark.parametrize(
    ("reports", "expected", "status", "words"),
    [
        ([gpu(0)], {"gpus": 0}, Status.OK, "None, and the VM size has none"),
        ([gpu(0)], {}, Status.OK, "None"),
        ([gpu(2)], {"gpus": 2, "size": "big"}, Status.OK, "The driver shows 2"),
        ([gpu(1)], {"gpus": 2, "size": "big"}, Status.FAILED, "The driver shows 1 GPUs, and `big` has 2."),
        ([gpu(0)], {"gpus": 1}, Status.FAILED, "The driver shows 0 GPUs, and the step requests 1."),
        ([gpu(2, torch=0, version="2.9+cpu")], {}, Status.FAILED, "torch 2.9+cpu shows 0 of the 2 GPUs that"),
        ([gpu(0, torch=0, version="2.9+cpu")], {"gpus": 0}, Status.OK, "None"),
        ([gpu(2), gpu(0, 1)], {"gpus": 2, "nodes": 2}, Status.FAILED, "Node 1: The driver shows 0"),
        ([gpu(2)], {"gpus": 2, "nodes": 2}, Status.UNKNOWN, "No report from 1 of 2 nodes."),
        ([gpu(2), gpu(2, 1)], {"gpus": 2, "nodes": 2}, Status.OK, "The driver shows 2 on each node"),
        ([Report(GPUS, "failed", "No /dev.")], {}, Status.FAILED, "No /dev."),
    ],
)
def test_gpus_are_compared_with_the_size_and_with_torch(
    reports: list[Report], expected: dict[str, Any], status: Status, words: str
) -> None:
    found = judged(WHOLE, *reports, **expected)[GPUS]

    assert (found.status, found.found[: len(words)]) == (status, words)
    assert bool(found.hint) is (status is Status.FAILED)


@given(
    st.lists(st.builds(Report, st.sampled_from(CHECKS), st.sampled_from(["ok", "failed", "skipped", "?"]), st.text()))
)
def test_whatever_a_job_reports_each_check_has_one_finding_and_each_failure_next_steps(reports: list[Report]) -> None:
    for expected in (Expected(), Expected(nodes=2, gpus=1, checkpoints=True, by_vault=True)):
        found = list(findings(reports, expected))

        assert [one.check for one in found] == list(CHECKS)
        assert all(one.hint for one in found if one.status is Status.FAILED)
        for check in {one.check for one in reports if one.result == "failed"} - {IMAGE, KEY_VAULT, GPUS, NODES}:
            if check != checks.CHECKPOINTS or expected.checkpoints:
                assert next(one.status for one in found if one.check == check) is Status.FAILED


@given(st.text(), st.text(), st.dictionaries(st.sampled_from(["driver", "node"]), st.integers()))
def test_a_line_that_a_job_writes_is_read_again_after_any_label(label: str, found: str, facts: dict[str, int]) -> None:
    line = json.dumps({"check": "GPUS", "result": "ok", "found": found, **facts})

    label = label.replace(checks.MARK, "")
    assert report_in(f"{label}{bare.MARK} {line}") == Report("GPUS", "ok", found, facts)


@given(st.text())
def test_no_other_line_is_a_report(text: str) -> None:
    assert report_in(text) is None
    assert report_in(f"{checks.MARK} {text}") is None or text.strip().startswith("{")


def test_the_program_for_bare_images_knows_the_names_that_the_client_knows() -> None:
    assert (bare.MARK, bare.CHECKS, bare.CANARY) == (checks.MARK, checks.CHECKS, checks.CANARY)
    assert (bare.OK, bare.FAILED, bare.SKIPPED) == (checks.OK, checks.FAILED, checks.SKIPPED)
    assert bare.VAULT_SECRET == VAULT_SECRET
    named = {line.split('"')[1] for line in bare_program().splitlines() if "zenml_azureml" in line and '"' in line}
    assert named == set()  # it imports nothing of this package
    assert "'''" not in bare_program()


def test_the_checks_prepare_their_job_themselves_so_that_a_failure_is_a_finding() -> None:
    line = " ".join(command())

    assert prepared(line, {VAULT_SECRET: "https://vault/secrets/x", checks.CHECKS: "{}"}) == line
    assert prepared("python train.py", {RANKS: "1"}) != "python train.py"
