"""What the entrypoint of ranks uses of ZenML that is not public: it is still there, and used as we think."""

from __future__ import annotations

import inspect
import subprocess
import sys

import zenml
from zenml.entrypoints.base_entrypoint_configuration import BaseEntrypointConfiguration
from zenml.orchestrators.step_runner import StepRunner
from zenml.step_operators.step_operator_entrypoint_configuration import StepOperatorEntrypointConfiguration
from zenml.utils import code_utils, source_utils

from zenml_azureml.contract.commands import ENTRYPOINT
from zenml_azureml.in_job.rank_zero_only import REFUSED, SILENT
from zenml_azureml.in_job.ranked_step import RankedEntrypointConfiguration


def test_the_entrypoint_is_where_the_command_says() -> None:
    assert source_utils.load(ENTRYPOINT) is RankedEntrypointConfiguration


def test_zenml_runs_a_step_through_what_is_overridden_here() -> None:
    run = inspect.getsource(StepOperatorEntrypointConfiguration)
    assert "def _run_step(" in run
    assert "self.step_run" in run
    prepare = inspect.getsource(BaseEntrypointConfiguration.prepare_code_environment)
    before, _, after = prepare.partition("self._load_active_artifact_store()")
    assert 'os.chdir("/app")' in before
    assert "download_code_from_artifact_store(" in after
    assert "self.download_code_from_code_repository(" in after
    # Relative to where the process is then:
    assert 'os.path.abspath("code")' in inspect.getsource(code_utils.download_code_from_artifact_store)
    assert 'os.path.abspath("code")' in inspect.getsource(
        BaseEntrypointConfiguration.download_code_from_code_repository
    )


def test_zenml_loads_inputs_and_calls_the_function_as_on_the_other_ranks() -> None:
    run = inspect.getsource(StepRunner.run)
    for used in ("self._load_step()", "get_resolved_signature(", "self._parse_inputs(", ".call_entrypoint("):
        assert used in run
    assert list(inspect.signature(StepRunner._parse_inputs).parameters) == ["self", "signature", "input_artifacts"]


def test_what_publishes_nothing_on_other_ranks_are_zenmls_public_functions_that_return_nothing() -> None:
    for name in SILENT:
        assert inspect.signature(getattr(zenml, name)).return_annotation in (None, "None"), name
    assert set(SILENT) | set(REFUSED) <= set(zenml.__all__)


def test_what_comes_before_zenml_in_a_job_imports_the_standard_library_only() -> None:
    program = "import sys, zenml_azureml.in_job.rank; print([m for m in sys.modules if m.split('.')[0] == 'zenml'])"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
