"""What ZenML's server has recorded of a step's job."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from zenml_azureml.run_store import step_runs
from zenml_azureml.run_store.step_runs import JOB_ID_KEY, STUDIO_URL_KEY, VAULT_SECRET_KEY

READERS = {
    VAULT_SECRET_KEY: step_runs.recorded_vault_secret,
    JOB_ID_KEY: step_runs.recorded_job_id,
    STUDIO_URL_KEY: step_runs.recorded_studio_url,
}


@pytest.mark.parametrize("key", READERS)
@pytest.mark.parametrize("value", ["https://somewhere", "", None])
def test_a_recorded_fact_is_a_text_and_empty_if_it_is_not_recorded(key: str, value: str | None) -> None:
    recorded, empty = (cast("Any", SimpleNamespace(run_metadata=metadata)) for metadata in ({key: value}, {}))

    assert READERS[key](recorded) == (value or "")
    assert READERS[key](empty) == ""
