"""The hook on MLflow, with versions of MLflow 2 and 3: these tests fail if MLflow moves what the hook changes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mlflow.servers import RecordingProxy
from tests.unit.in_job.test_mlflow_run import AZURES, OWN

#: Beside 3.15.0, which the other tests use: where `make test-mlflow` has put them.
VERSIONS = ["2.22.0", "3.17.2"]

SCRIPT = """
import zenml  # as in the step's process, before all else
import json, os, sys
import mlflow
from mlflow.tracking import MlflowClient

own, team = sys.argv[1:]
found = {"version": mlflow.__version__}
found["beside"] = MlflowClient(team).get_experiment("0").name
found["kept"] = os.environ["MLFLOW_RUN_ID"]
mlflow.set_tracking_uri(team)
found["cleared"] = sorted(name for name in os.environ if name.startswith("MLFLOW_") and name != "MLFLOW_TRACKING_URI")
run = mlflow.start_run()
mlflow.log_metric("loss", 1)
mlflow.end_run()
found["run"] = run.info.run_id
mlflow.set_tracking_uri(own)
found["restored"] = [os.environ["MLFLOW_RUN_ID"], mlflow.tracking.get_tracking_uri()]
mlflow.set_tracking_uri(None)
os.environ["MLFLOW_TRACKING_URI"] = team
mlflow.tracking.get_tracking_uri()
found["by variable"] = os.environ.get("MLFLOW_RUN_ID")
print(json.dumps(found))
"""


@pytest.mark.parametrize("version", VERSIONS)
def test_every_way_to_name_a_server_is_noticed(version: str, team: RecordingProxy, tmp_path: Path) -> None:
    environment = {
        **AZURES,
        "AZUREML_RUN_ID": "job",
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "PYTHONPATH": str(Path(sys.prefix) / f"mlflow-{version}"),
        "ZENML_ANALYTICS_OPT_IN": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }

    result = subprocess.run(
        [sys.executable, "-c", SCRIPT, OWN, team.url],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout.splitlines()[-1])
    assert found.pop("run") != "job"
    assert found == {
        "version": version,
        "beside": "Default",
        "kept": "job",
        "cleared": ["MLFLOW_DISABLE_TELEMETRY"],
        "restored": ["job", OWN],
        "by variable": None,
    }
    assert {request.authorization for request in team.received} == {""}
