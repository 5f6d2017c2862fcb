"""A submit from a source root that holds what must not be uploaded."""

from __future__ import annotations

from tests.e2e.conftest import Project
from zenml_azureml.emulator import Emulator


def test_a_warning_names_the_folders_before_anything_is_uploaded(project: Project) -> None:
    Emulator(project.folder / "emulator").close()
    (project.folder / ".venv").mkdir()
    (project.folder / ".venv" / "pyvenv.cfg").touch()

    output = project.succeed(
        """
        @pipeline(enable_cache=False, settings=NO_BUILD)
        def careless():
            CommandStep(["true"], name="it", step_operator="azureml")()
        careless()
        """
    )

    uploaded = output.index("Uploading code")
    assert output.index("`.venv` (a virtual environment)") < uploaded
    assert output.index("`emulator` (the state folder of an emulator") < uploaded
    assert output.count("(the state folder of an emulator") == 1
