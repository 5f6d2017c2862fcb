"""The target of tests that run on an emulator, or on Azure by `make live`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.contract.arm import Arm
from tests.live import wire
from tests.live.arm import LiveArm, chosen_target
from tests.live.pipelines import Pipelines, at_emulator, at_target
from tests.live.target import Target
from zenml_azureml.emulator import Emulator
from zenml_azureml.emulator.context import Settings
from zenml_azureml.emulator.runtimes.process.runtime import ProcessRuntime


@pytest.fixture
def arm(request: pytest.FixtureRequest) -> Arm:
    """The emulator; or Azure, for a test that `make live` runs."""
    target = chosen_target(request)
    return Arm(request.getfixturevalue("emulator")) if target is None else LiveArm(target)


@pytest.fixture(scope="module")
def pipelines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipelines]:
    """A ZenML of its own, with a stack whose step operator leads to the target."""
    folder, target = tmp_path_factory.mktemp("pipelines"), Target.from_environment()
    if target is not None:
        assert wire.is_installed(), "`make live` runs these tests: it guards what they cost."
        # The folder's name is in variables of jobs, and pytest's has the user's name.
        with TemporaryDirectory(prefix="live-") as plain:
            yield at_target(Path(plain), target)
        return
    settings = Settings(compute_provisioning=0.2, job_preparation=0, job_finalization=0)
    with Emulator(folder / "emulator", runtime=ProcessRuntime(), settings=settings) as emulator:
        yield at_emulator(folder, emulator)
