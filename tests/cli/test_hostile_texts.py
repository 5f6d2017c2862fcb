"""What a terminal would obey, in names, tags, states, logs and Azure's messages: the command prints none of it."""

from __future__ import annotations

import re
import subprocess
import sys

import pexpect
import pytest

from tests.cli.conftest import Cli
from zenml_azureml import tags
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.run_store.step_runs import _information_on

#: Writes to the clipboard, resets, reorders, overwrites; and markup and an emoji of rich's.
HOSTILE = "a\x1b]52;c;QUJD\x07b\x1bcc\u202ed\x9b2Je\x08f[link=https://evil.example]g[/link][bold]:bomb:\rh"
SHOWN = "abcdef[link=https://evil.example]g[/link][bold]:bomb:"
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def assert_safe(text: str) -> None:
    assert _CONTROLS.findall(re.sub("\x1b\\[[0-9;]*m", "", text)) == []


@pytest.mark.parametrize("command", [["jobs", "show", "job-1"], ["jobs", "list", "--all"]])
def test_names_and_tags_are_printed_as_text(command: list[str], cli: Cli) -> None:
    cli.submit("job-1", tags={tags.STEP_RUN_ID: "x", tags.STEP: HOSTILE})

    printed = cli.run(*command).output

    assert f"{SHOWN} h" in printed
    assert_safe(printed)


def test_a_log_is_printed_with_nothing_but_its_colours(cli: Cli) -> None:
    job = cli.submit("job-1")
    (file,) = job.log_folder.iterdir()
    file.write_bytes(f"\x1b[31mred\x1b[0m\n{HOSTILE}\n\x1b]52;c;never ended\nnext\n".encode())

    # Where stdout is no terminal, click leaves the colours out.
    assert cli.run("jobs", "logs", "job-1").stdout.splitlines() == ["red", "h", "", "next"]


def test_azures_message_is_printed_and_stored_without_control_sequences() -> None:
    error = AzureMLError(
        f"The job `{HOSTILE}` failed.", azure_message=HOSTILE, log_tail=(HOSTILE,), studio_url=HOSTILE, hint=HOSTILE
    )

    for text in (str(error), error.summary, error.azure_message, error.hint, str(error.with_history(HOSTILE))):
        assert_safe(text)
    stored = _information_on(error)
    assert_safe(f"{stored.message}{stored.traceback}")
    assert str(error).startswith(f"The job `{SHOWN}\nh` failed.")


def test_a_table_at_a_terminal_takes_no_markup_and_no_emoji_from_its_cells() -> None:
    code = (
        "from zenml_azureml.cli.tables import *; "
        f"show_rows(['Name'], [[{HOSTILE!r}]]); show_facts([('Name', {HOSTILE!r})])"
    )
    at_terminal = pexpect.spawn(sys.executable, ["-c", code], encoding="utf-8", timeout=60, dimensions=(30, 200))
    shown = at_terminal.read()

    assert shown.count(SHOWN) == 2
    assert_safe(shown.replace("\r\n", "\n"))


def test_the_demos_report_takes_no_markup_from_names() -> None:
    code = (
        "from rich.console import Console; from zenml_azureml.demo import report, run; "
        "steps = [report.StepReport('[link=https://evil.example]x[/link]', 'done', 'here', ':bomb:', 1.0, '', '')]; "
        "run._console.print(report.table(steps))"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert "[link=https://evil.example]x[/link]" in printed
    assert ":bomb:" in printed
