"""What importing costs, and that a broken plugin breaks nothing. Each in a Python of its own.

Where a program imports ZenML before this package, its Python is forked from one that has imported ZenML.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e import warm

Run = Callable[[str, Path], "subprocess.CompletedProcess[str]"]


def run_python(code: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter with a ZenML configuration of its own."""
    environment = variables(tmp_path)
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=tmp_path)


def run_after_zenml(code: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """The same in one in which `import zenml` is all that has happened."""
    program = tmp_path / "program.py"
    program.write_text(code)
    return warm.run([str(program)], variables(tmp_path), tmp_path, "tests.unit.warm_zenml")


def variables(tmp_path: Path) -> dict[str, str]:
    return {
        "HOME": str(tmp_path),
        "PATH": "/usr/bin:/bin",
        "ZENML_CONFIG_PATH": str(tmp_path / "zenml"),
        "ZENML_ANALYTICS_OPT_IN": "false",
        "ZENML_LOGGING_COLORS_DISABLED": "true",
    }


def loaded_modules(code: str, tmp_path: Path, run: Run = run_python) -> list[str]:
    """The modules that are loaded after running code."""
    result = run(f"{code}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))", tmp_path)
    assert result.returncode == 0, result.stderr
    modules: list[str] = json.loads(result.stdout.splitlines()[-1])
    return modules


def test_importing_zenml_loads_nothing_of_ours_but_the_registration(tmp_path: Path) -> None:
    ours = [name for name in loaded_modules("import zenml", tmp_path) if name.startswith("zenml_azureml")]

    assert ours == [
        "zenml_azureml",
        "zenml_azureml.in_job",
        "zenml_azureml.in_job.mlflow_hook",
        "zenml_azureml.plugin",
        "zenml_azureml.plugin.constants",
        "zenml_azureml.plugin.init_hook",
        "zenml_azureml.post_import",
    ]


@pytest.mark.parametrize(
    ("run", "code"),
    [
        (run_python, "from zenml_azureml import *"),
        (run_after_zenml, "from zenml_azureml import *"),
        (run_after_zenml, "from zenml.integrations.azure.flavors import *"),
        (
            run_python,
            "from zenml_azureml import AzureMLStepOperatorFlavor as F; F().implementation_class; F().config_class",
        ),
    ],
    ids=["ours first", "zenml first", "the built-in's path", "through the flavor"],
)
def test_flavor_settings_and_operator_load_no_azure_module(run: Run, code: str, tmp_path: Path) -> None:
    modules = loaded_modules(code, tmp_path, run)

    assert "zenml_azureml.plugin.flavor" in modules
    assert [name for name in modules if name == "azure" or name.startswith("azure.")] == []


def test_the_built_in_names_are_ours_in_whichever_order_they_are_imported(tmp_path: Path) -> None:
    for run, code in (
        (
            run_python,
            "import zenml_azureml; ours = zenml_azureml.AzureMLStepOperatorSettings; "
            "from zenml.integrations.azure.flavors import AzureMLStepOperatorSettings as theirs",
        ),
        (
            run_after_zenml,
            "from zenml.integrations.azure.flavors import AzureMLStepOperatorSettings as theirs; "
            "from zenml_azureml import AzureMLStepOperatorSettings as ours",
        ),
    ):
        result = run(f"{code}; assert ours is theirs", tmp_path)
        assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("broken", ["zenml_azureml.plugin.flavor", "zenml_azureml.settings.models"])
@pytest.mark.parametrize(
    "before",
    ["", "import warnings; warnings.simplefilter('error', RuntimeWarning)\n"],
    ids=["", "warnings are errors"],
)
def test_a_broken_plugin_leaves_the_built_in_flavor_in_place(broken: str, before: str, tmp_path: Path) -> None:
    result = run_after_zenml(
        f"{before}import sys; sys.modules[{broken!r}] = None\n"  # importing it raises ImportError
        "from zenml.integrations.azure.flavors import AzureMLStepOperatorFlavor\n"
        "print(AzureMLStepOperatorFlavor().config_class.__module__)",
        tmp_path,
    )

    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "zenml.integrations.azure.flavors.azureml_step_operator_flavor"


def test_a_broken_plugin_says_what_to_do(tmp_path: Path) -> None:
    result = run_after_zenml(
        "import sys; sys.modules['zenml_azureml.plugin.flavor'] = None\nimport zenml.integrations.azure.flavors",
        tmp_path,
    )

    said = result.stdout + result.stderr
    assert "zenml-azureml could not replace ZenML's built-in `azureml` step operator" in said
    assert "pip uninstall zenml-azureml" in said


def test_installing_the_hook_twice_changes_nothing(tmp_path: Path) -> None:
    result = run_after_zenml(
        "import sys, zenml\nfrom zenml_azureml.plugin.init_hook import install\n"
        "before = list(sys.meta_path); install(); assert sys.meta_path == before",
        tmp_path,
    )

    assert result.returncode == 0, result.stderr


def test_the_source_of_the_built_in_module_can_still_be_read(tmp_path: Path) -> None:
    result = run_after_zenml(
        "import inspect\nfrom zenml.integrations.azure.flavors import azureml_step_operator_flavor as module\n"
        "assert 'class AzureMLStepOperatorFlavor' in inspect.getsource(module)",
        tmp_path,
    )

    assert result.returncode == 0, result.stderr


def test_the_sdk_is_imported_in_the_background_once_it_is_begun_and_not_before(tmp_path: Path) -> None:
    result = run_after_zenml(
        "import sys, threading\n"
        "from zenml_azureml import step_operator\n"
        "from zenml_azureml.azure.sdk import preload\n"
        "assert not any(name.startswith('azure.') for name in sys.modules)\n"
        "preload.begin(); preload.begin()\n"
        "threads = [thread for thread in threading.enumerate() if thread.name == 'zenml-azureml-sdk-import']\n"
        "assert len(threads) == 1, threads\n"
        "threads[0].join()\n"
        "assert 'azure.ai.ml' in sys.modules",
        tmp_path,
    )

    assert result.returncode == 0, result.stderr


def test_an_sdk_that_cannot_be_imported_is_told_of_where_it_is_needed(tmp_path: Path) -> None:
    result = run_python(
        "import sys, threading; sys.modules['azure.ai.ml'] = None\n"
        "from zenml_azureml.azure.sdk import preload\n"
        "preload.begin()\n"
        # Who asks just when the other import fails may be given what there was of the module: a race in CPython.
        "[thread.join() for thread in threading.enumerate() if thread.name == 'zenml-azureml-sdk-import']\n"
        "import zenml_azureml.azure.client",
        tmp_path,
    )

    assert result.returncode == 1
    assert result.stderr.count("Traceback") == 1
    assert "azure.ai.ml" in result.stderr.splitlines()[-1]
