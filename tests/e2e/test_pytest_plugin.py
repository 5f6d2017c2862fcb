"""The pytest plugin, in sessions of pytest as users have them."""

from __future__ import annotations

import ast
from pathlib import Path

import psutil
import pytest

from zenml_azureml.testing import pytest_plugin

pytest_plugins = ["pytester"]

TESTS = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def session(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder, and a folder for temporary files that only this session of pytest uses."""
    temporary = pytester.path / "tmp"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    for name in ("ZENML_CONFIG_PATH", "ZENML_REPOSITORY_PATH"):
        monkeypatch.delenv(name, raising=False)
    return temporary


JOB = """
from azure.ai.ml import command
from azure.ai.ml.entities import Environment

def submitted(client, line, **more):
    environment = Environment(image="python:3.12")
    return client.jobs.create_or_update(command(name="job", command=line, environment=environment, **more))
"""


def test_each_test_has_a_workspace_of_its_own_with_a_client(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        jobs=JOB,
        test_jobs="""
        import os, pytest
        from azure.identity import DefaultAzureCredential
        from jobs import submitted

        SEEN, BEFORE = set(), dict(os.environ)

        @pytest.mark.parametrize("word", ["first", "second"])
        def test_job(azureml_client, azureml_workspace, word):
            assert [job.name for job in azureml_client.jobs.list()] == []
            submitted(azureml_client, f"echo {word}")
            azureml_client.jobs.stream("job")
            assert azureml_client.jobs.get("job").status == "Completed"
            assert azureml_workspace.log("job") == f"{word}\\n"
            assert azureml_workspace.name == os.environ["AZUREML_ARM_WORKSPACE_NAME"] not in SEEN
            SEEN.add(azureml_workspace.name)
            assert DefaultAzureCredential().get_token("https://management.azure.com/.default").token

        def test_nothing_is_left_in_the_environment():
            after = {name: value for name, value in os.environ.items() if name in BEFORE or "AZURE" in name}
            assert {**after, "PYTEST_CURRENT_TEST": ""} == {**BEFORE, "PYTEST_CURRENT_TEST": ""}
        """,
    )

    pytester.runpytest_subprocess("-q", "-p", "no:warnings").assert_outcomes(passed=3)


@pytest.mark.long
def test_workers_have_emulators_of_their_own_and_nothing_is_left_of_them(
    pytester: pytest.Pytester, session: Path
) -> None:
    pytester.makepyfile(
        jobs=JOB,
        test_jobs="""
        import pytest, time
        from jobs import submitted

        @pytest.mark.parametrize("number", range(4))
        def test_job(azureml_client, azureml_emulator, number, request):
            submitted(azureml_client, "exec sleep 4711")
            while azureml_client.jobs.get("job").status != "Running":
                time.sleep(0.05)
            (request.config.rootpath / f"{azureml_emulator.base_url.rpartition(':')[2]}.port").touch()
        """,
    )

    pytester.runpytest_subprocess("-q", "-p", "no:warnings", "-n", "2").assert_outcomes(passed=4)

    assert 1 <= len(list(pytester.path.glob("*.port"))) <= 2
    assert list(session.glob("azureml-*")) == []
    left = [process.pid for process in psutil.process_iter(["cmdline"]) if "4711" in (process.info["cmdline"] or [])]
    assert left == []


def test_faults_and_scenarios_end_with_their_test(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        jobs=JOB,
        test_jobs="""
        import pytest
        from jobs import submitted

        def test_fault(azureml_client, azureml_faults):
            azureml_faults.arm(path="/jobs/job", method="PUT", status=418, body={"error": {"code": "Teapot"}}, times=9)
            with pytest.raises(Exception, match="Teapot"):
                submitted(azureml_client, "true")
            assert azureml_faults.armed[0]["fired"] == 1

        def test_no_fault_is_left(azureml_faults, azureml_scenarios):
            assert azureml_faults.armed == azureml_scenarios.armed == []

        def test_scenario(azureml_client, azureml_scenarios):
            azureml_scenarios.arm("user-error", jobs="job", times=5)
            submitted(azureml_client, "sleep 60")
            with pytest.raises(Exception, match="Execution failed"):
                azureml_client.jobs.stream("job")
            assert azureml_scenarios.armed[0]["fired"] == 1

        def test_no_scenario_is_left(azureml_faults, azureml_scenarios):
            assert azureml_faults.armed == azureml_scenarios.armed == []

        def test_mistakes(azureml_faults, azureml_scenarios):
            with pytest.raises(ValueError, match="did you mean 'preempted'"):
                azureml_scenarios.arm("preempt")
            with pytest.raises(ValueError, match="stauts"):
                azureml_faults.arm(stauts=503)
        """,
    )

    pytester.runpytest_subprocess("-q", "-p", "no:warnings").assert_outcomes(passed=5)


def test_a_session_that_does_not_use_it_imports_nothing(pytester: pytest.Pytester, session: Path) -> None:
    pytester.makepyfile(
        """
        import sys

        def test_imports():
            heavy = ("aiohttp", "azure", "zenml", "requests", "trustme", "zenml_azureml.emulator")
            assert [name for name in heavy if name in sys.modules] == []
        """
    )

    # Plugins of others, xdist and hypothesis among them, import what they need.
    pytester.runpytest_subprocess("-q", "-p", "no:warnings", "-p", "no:hypothesispytest").assert_outcomes(passed=1)
    assert list(session.glob("azureml-*")) == []


def test_without_the_extra_the_fixture_names_what_to_install(pytester: pytest.Pytester) -> None:
    pytester.makeconftest('import sys; sys.modules["trustme"] = None')
    pytester.makepyfile("def test_it(azureml_workspace): ...")

    result = pytester.runpytest_subprocess("-q", "-p", "no:warnings")

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*not installed (trustme)*pip install 'zenml-azureml?emulator?'*"])


def test_an_unknown_runtime_is_refused(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nazureml_runtime = podman")
    pytester.makepyfile("def test_it(azureml_emulator): ...")

    result = pytester.runpytest_subprocess("-q", "-p", "no:warnings")

    result.stdout.fnmatch_lines(["*azureml_runtime is 'podman', which is none of process, docker and simulated*"])
    assert result.ret != pytest.ExitCode.OK


PIPELINE = """
import os
from pathlib import Path
from zenml import pipeline, step
from zenml.client import Client
from zenml.config import DockerSettings

@step(step_operator="azureml")
def train() -> int:
    return 42

@pipeline(enable_cache=False, settings={"docker": DockerSettings(skip_build=True, parent_image="python:3.12")})
def training():
    train()

def test_pipeline(azureml_stack, azureml_client):
    run = training()
    assert run.status == "completed"
    assert run.steps["train"].output.load() == 42
    (job,) = azureml_client.jobs.list()
    assert job.tags["zenml_step"] == "train"

def test_the_next_one(azureml_stack, azureml_client):
    assert Client().active_stack_model.id == azureml_stack.id
    assert {stack.name for stack in Client().list_stacks()} == {azureml_stack.name, "default"}
"""


@pytest.mark.long
def test_a_zenml_pipeline_runs_on_a_stack_of_its_own(
    pytester: pytest.Pytester, session: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = pytester.mkdir("own-configuration")
    (own / "config.yaml").write_text("active_stack_id: 00000000-0000-0000-0000-000000000001\n")
    monkeypatch.setenv("ZENML_CONFIG_PATH", str(own))
    monkeypatch.setenv("ZENML_STORE_URL", "https://zenml.example.org")
    pytester.makeini("[pytest]\nazureml_zenml = true")
    pytester.makepyfile(test_training=PIPELINE)

    result = pytester.runpytest_subprocess("-q", "-p", "no:warnings", "-x")

    result.assert_outcomes(passed=2)
    assert [path.name for path in own.iterdir()] == ["config.yaml"]
    assert (own / "config.yaml").read_text() == "active_stack_id: 00000000-0000-0000-0000-000000000001\n"
    assert list(session.glob("azureml-*")) == []


def test_without_the_setting_no_zenml_configuration_is_touched(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = pytester.mkdir("own-configuration")
    monkeypatch.setenv("ZENML_CONFIG_PATH", str(own))
    pytester.makepyfile("def test_it(azureml_stack): ...")

    result = pytester.runpytest_subprocess("-q", "-p", "no:warnings")

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*set `azureml_zenml = true` in the configuration of pytest*"])
    assert list(own.iterdir()) == []


def test_fixtures_of_these_tests_do_not_hide_those_of_the_plugin() -> None:
    published = {name for name in vars(pytest_plugin) if name.startswith("azureml_")}
    tests = {
        node.name
        for path in TESTS.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and any("fixture" in ast.unparse(one) for one in node.decorator_list)
    }

    assert published == {
        "azureml_client",
        "azureml_emulator",
        "azureml_faults",
        "azureml_scenarios",
        "azureml_stack",
        "azureml_workspace",
    }
    assert tests & published == set()
