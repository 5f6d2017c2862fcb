"""The demo's decisions: what it types, what it passes on, what it shows."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from rich.console import Console

from zenml_azureml.demo.output_filter import worth_showing
from zenml_azureml.demo.report import StepReport, links, metrics, table
from zenml_azureml.demo.run import DemoError, Folders, child_environment, registration_commands, run_demo, run_zenml
from zenml_azureml.emulator.local.instance import Options, Running


@pytest.fixture
def emulator(tmp_path: Path) -> Running:
    bundle = tmp_path / "ca-bundle.pem"
    bundle.touch()
    return Running(
        state=tmp_path,
        pid=1,
        base_url="https://127.0.0.1:10443",
        proxy_url=None,
        started_at="2026-01-01T00:00:00+00:00",
        ca_file=bundle,
        ca_bundle=bundle,
        tenant_id="tenant",
        client_id="client",
        federated_token_file=tmp_path / "token",
        options=Options(),
        local_url="https://127.0.0.1:10443",
    )


def test_the_artifact_store_has_an_absolute_path_since_jobs_have_a_home_of_their_own(emulator: Running) -> None:
    artifact_store = registration_commands(emulator, Path("/demo/artifacts"))[0]

    assert artifact_store[-1] == "--path=/demo/artifacts"


def test_neither_the_users_zenml_nor_their_azure_reaches_the_pipeline(emulator: Running, tmp_path: Path) -> None:
    own = {
        "PATH": "/bin",
        "HOME": "/home/me",
        "ZENML_STORE_URL": "https://production",
        "ZENML_ACTIVE_STACK_ID": "production",
        "AZURE_CLIENT_SECRET": "hush",
        "AZURE_SUBSCRIPTION_ID": "production",
    }

    variables = child_environment(own, emulator, Folders(tmp_path))

    assert "production" not in "".join(variables.values())
    assert "AZURE_CLIENT_SECRET" not in variables
    assert variables["ZENML_CONFIG_PATH"] == str(tmp_path / "zenml")
    assert (variables["PATH"], variables["HOME"]) == ("/bin", "/home/me")


def test_the_command_that_fails_is_named_with_what_it_says_and_none_follows(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    variables = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "ZENML_CONFIG_PATH": str(tmp_path / "zenml")}
    commands = [["zenml", "--version"], ["zenml", "stack", "no-such"], ["zenml", "--help"]]

    with pytest.raises(DemoError, match=r"(?s)^`zenml stack no-such` failed:\n(?!.*version ).*No such command"):
        run_zenml(commands, {**variables, "ZENML_ANALYTICS_OPT_IN": "false"}, tmp_path)

    assert capfd.readouterr().out == "  $ zenml --version\n  $ zenml stack no-such\n"


def test_a_folder_with_something_in_it_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "theirs").touch()

    with pytest.raises(DemoError, match="is not empty"):
        run_demo(tmp_path, keep=False)

    assert list(tmp_path.iterdir()) == [tmp_path / "theirs"]


def test_lines_that_tell_a_newcomer_nothing_are_left_out_with_colours_or_without() -> None:
    lines = [
        "\x1b[37mUnable to find a build to reuse. A previous build can be reused when\x1b[0m\n",
        "  * The stack contains a container registry\n",
        "  orchestrator: `default`\n",
        "Reusing existing build `736c8130` for stack `azureml-demo`.\n",
        "Using user: `default`\n",
        "\x1b[37m[train] \x1b[37mCode download finished.\x1b[0m\n",
        "\x1b[37m[train] 50 trees: out-of-bag accuracy 0.9703\x1b[0m\n",
        "Traceback (most recent call last):\n",
    ]

    assert list(worth_showing(lines)) == lines[-2:]


def test_the_last_words_of_the_logging_library_are_left_out_and_nothing_of_a_step() -> None:
    before = ["[train] Traceback (most recent call last):", "[train] ValueError: mine"]
    last_words = [
        "[train] Exception ignored in atexit callback: <function shutdown at 0x7fc10c841ee0>",
        "[train] Traceback (most recent call last):",
        "[train]     h.flush()",
        "[train] RuntimeError: can't create new thread at interpreter shutdown",
    ]
    after = ["Step `train` has finished in `8.496s`."]

    assert list(worth_showing([*before, *last_words, *after])) == [*before, *after]


STEPS = [
    StepReport("prepare", "completed", "here", "", 0.52, "", ""),
    StepReport("train", "completed", "serverless", "", 10.04, "zenml-1", "https://ml.azure.com/runs/zenml-1"),
    StepReport("evaluate", "failed", "compute cluster", "evaluation-cluster", None, "zenml-2", "https://two"),
]


def test_the_table_fits_a_narrow_terminal() -> None:
    console = Console(width=80, file=io.StringIO(), record=True)
    console.print(table(STEPS))

    assert [line.rstrip() for line in console.export_text().splitlines()] == [
        "Step      Ended      Where            Compute             Seconds",
        "prepare   completed  here                                     0.5",
        "train     completed  serverless                              10.0",
        "evaluate  failed     compute cluster  evaluation-cluster",
    ]


def test_each_job_has_its_link() -> None:
    assert links(STEPS) == [
        "train: job zenml-1",
        "  https://ml.azure.com/runs/zenml-1",
        "evaluate: job zenml-2",
        "  https://two",
    ]


def test_metrics_are_the_numbers_that_a_step_has_recorded() -> None:
    metadata = {"f1": 0.9, "accuracy": 0.8, "azureml_job_name": "zenml-1"}

    assert list(metrics(metadata).items()) == [("accuracy", 0.8), ("f1", 0.9)]
