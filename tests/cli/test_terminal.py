"""What a terminal shows: tables at any width, completion by its shell, and that something goes on."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest

SHOW = """
from zenml_azureml.cli.tables import show_rows
show_rows(("Job", "Status", "Step"), [("zenml-" + "1" * 36, "Running", "trainer"), ("b", "Failed", "")])
"""

COMMAND = str(Path(sys.executable).parent / "zenml-azureml")


def at_a_terminal(width: int, code: str) -> list[str]:
    """What code prints at a terminal of that width."""
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    process = pexpect.spawn(
        sys.executable,
        ["-c", code],
        dimensions=(50, width),
        encoding="utf-8",
        timeout=60,
        env={**environment, "TERM": "xterm"},
    )
    output: str = process.read()
    return [line.rstrip() for line in output.splitlines()]


def completed(shell: str, line: str) -> list[str]:
    """What the real command offers to complete a line with."""
    environment = {**os.environ, "COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1)}
    environment["_ZENML_AZUREML_COMPLETE"] = f"{shell}_complete"
    done = subprocess.run([COMMAND], env=environment, capture_output=True, text=True, check=True)
    return [entry.split(",", 1)[-1] for entry in done.stdout.splitlines()]


@pytest.mark.parametrize("width", [80, 120])
def test_a_table_that_fits_has_a_line_for_each_row(width: int) -> None:
    heading, first, second = at_a_terminal(width, SHOW)

    assert heading.endswith("Step") or "Step" in heading
    assert first.split() == ["zenml-" + "1" * 36, "Running", "trainer"]
    assert second.split() == ["b", "Failed"]


def test_a_terminal_that_is_too_narrow_shows_a_block_for_each_row_and_cuts_nothing_off() -> None:
    lines = at_a_terminal(50, SHOW.replace('"1" * 36', '"1" * 34'))

    plain = [line.replace("\x1b[1m", "").replace("\x1b[0m", "") for line in lines]
    assert [" ".join(line.split()) for line in plain] == [
        "Job zenml-" + "1" * 34,
        "Status Running",
        "Step trainer",
        "",
        "Job b",
        "Status Failed",
    ]


def test_that_something_goes_on_is_shown_at_a_terminal_only() -> None:
    code = "import time\nfrom zenml_azureml.cli.progress import working\nwith working('Listing jobs'): time.sleep(0.3)"

    piped = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert (piped.stdout, piped.stderr) == ("", "")
    assert any("Listing jobs ..." in line for line in at_a_terminal(80, code))


COUNT = """
import time
from zenml_azureml.cli.progress import counted
for name in counted("Cancelling jobs", (time.sleep(0.3) or name for name in "ab"), 2): print("ended:", name)
"""


def test_a_bar_shows_how_many_are_done_and_leaves_what_is_printed_alone() -> None:
    piped = subprocess.run([sys.executable, "-c", COUNT], capture_output=True, text=True, check=True)
    lines = [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line).strip() for line in at_a_terminal(80, COUNT)]

    assert (piped.stdout, piped.stderr) == ("ended: a\nended: b\n", "")
    assert [line for line in lines if line.startswith("ended")] == ["ended: a", "ended: b"]
    shown = " ".join(lines)
    assert "Cancelling jobs" in shown
    assert shown.index("0/2") < shown.index("ended: a") < shown.index("1/2") < shown.index("ended: b")


def test_programs_are_shown_no_bar_at_a_terminal_either() -> None:
    of_a_program = f"""
import click
@click.command()
@click.option("--json", "as_json", is_flag=True)
def main(as_json: bool) -> None:
    exec({COUNT!r}, {{}})
main(["--json"])
"""

    assert at_a_terminal(80, of_a_program) == ["ended: a", "ended: b"]


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("zenml-azureml ", {"demo", "doctor", "emulator", "jobs", "sizes"}),
        ("zenml-azureml jobs ", {"list", "show", "logs", "cancel", "open", "wait"}),
        ("zenml-azureml jobs l", {"list", "logs"}),
        ("zenml-azureml sizes --mode ", {"serverless", "compute-cluster", "compute-instance"}),
        ("zenml-azureml doctor --cloud AzureC", {"AzureCloud", "AzureChinaCloud"}),
    ],
)
def test_the_shell_completes_commands_options_and_values(line: str, offered: set[str]) -> None:
    assert offered <= set(completed("bash", line))


def test_bash_takes_the_lines_of_the_documentation(tmp_path: Path) -> None:
    script = (
        f'export PATH="{Path(COMMAND).parent}:$PATH"\n'
        'eval "$(_ZENML_AZUREML_COMPLETE=bash_source zenml-azureml)"\n'
        "complete -p zenml-azureml\n"
    )

    # Bash 4.4 and newer have what click's lines need.
    done = subprocess.run(["bash", "--norc", "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path)

    assert done.stdout == "complete -o nosort -F _zenml_azureml_completion zenml-azureml\n"


def test_completing_imports_nothing_expensive() -> None:
    code = "import sys; import zenml_azureml.cli; print('zenml' in sys.modules, 'azure' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "False False\n"
