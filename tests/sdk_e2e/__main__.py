"""Runs azure-ai-ml's own end-to-end tests against the emulator: `make sdk-tests [ONLY=compute]`."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from tests.sdk_e2e.outcomes import SKIPPED, Outcome, counts, outcome_of
from tests.sdk_e2e.page import write_page
from tests.sdk_e2e.prepare import prepare
from tests.sdk_e2e.source import packages, prepared
from zenml_azureml.emulator import Emulator

#: Folders of tests about what an emulator of workspaces could have; the others are about endpoints, AutoML and feature
#: stores.
FOLDERS = (
    "compute",
    "command_job",
    "environment",
    "code_asset",
    "component",
    "dataset",
    "datastore",
    "dsl",
    "model",
    "pipeline_job",
    "schedule",
    "sweep_job",
    "virtual_cluster",
    "workspace",
)
#: The file of a folder whose tests count: the others are about AutoML, control flow, federated learning and registries.
_FILES = {"dsl": "test_dsl_pipeline.py", "pipeline_job": "test_pipeline_job.py"}
#: Tests that have to pass.
_AT_LEAST = {
    **{"compute": 3, "command_job": 8, "environment": 11, "code_asset": 3, "component": 35, "dataset": 11},
    **{"datastore": 4, "dsl": 40, "model": 8, "pipeline_job": 17},
}
_HERE = Path(__file__).parent


def main() -> int:
    """Print what became of each test; 1 if fewer have passed than have to."""
    options = argparse.ArgumentParser(prog="make sdk-tests")
    options.add_argument("--only", action="append", choices=FOLDERS, help="folder of tests")
    options.add_argument("--page", action="store_true", help="write the page of the documentation")
    options.add_argument("--verbose", action="store_true", help="show what pytest prints")
    chosen = options.parse_args()
    outcomes = run(tuple(chosen.only or FOLDERS), verbose=chosen.verbose)
    for outcome in outcomes:
        print(f"{outcome.folder}: {outcome.name}: {outcome.kind}{f' ({outcome.detail})' if outcome.detail else ''}")
    enough = bool(outcomes)
    for folder in dict.fromkeys(outcome.folder for outcome in outcomes):
        here = [outcome for outcome in outcomes if outcome.folder == folder]
        found = counts(outcome for outcome in here if not outcome.is_extra)
        extra = counts(outcome for outcome in here if outcome.is_extra)
        enough = enough and found["passed"] >= _AT_LEAST.get(folder, 0)
        skipped = extra["of"] + sum(outcome.kind == SKIPPED for outcome in here)
        print(f"{folder}: passed {found['passed']} of {found['of']}; the SDK skips {skipped}, passed {extra['passed']}")
    if chosen.page:
        write_page(outcomes, version("azure-ai-ml"))
    return 0 if enough else 1


def run(folders: tuple[str, ...], *, verbose: bool) -> list[Outcome]:
    """Run the tests of folders on an emulator that has what they expect of their workspace."""
    source = prepared()
    with tempfile.TemporaryDirectory(prefix="sdk-tests-") as made:
        results = Path(made) / "results"
        results.touch()
        with Emulator(Path(made) / "state", proxy_port=0, environ={}) as emulator:
            prepare(emulator)
            command = [
                sys.executable,
                "-m",
                "pytest",
                "-p",
                "sdk_plugin",
                "-p",
                "no:cacheprovider",
                "-q",
                "-c",
                os.devnull,
            ]
            subprocess.run(
                [
                    *command,
                    "--continue-on-collection-errors",
                    "--rootdir",
                    str(source),
                    "-m",
                    "e2etest",
                    *(f"tests/{folder}/e2etests/{_FILES.get(folder, '')}" for folder in folders),
                ],
                cwd=source,
                env=_environment(emulator, results),
                check=False,
                stdout=None if verbose else subprocess.DEVNULL,
            )
        return [outcome_of(json.loads(line)) for line in results.read_text(encoding="utf-8").splitlines()]


def _environment(emulator: Emulator, results: Path) -> dict[str, str]:
    workspace = emulator.context.store.workspaces[0]
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(results.parent),
        "PYTHONPATH": os.pathsep.join([str(_HERE / "stand_ins"), str(packages())]),
        "SDK_TESTS_RESULTS": str(results),
        "HTTPS_PROXY": str(emulator.proxy_url),
        "REQUESTS_CA_BUNDLE": str(emulator.ca_bundle),
        "ML_SUBSCRIPTION_ID": workspace.subscription_id,
        "ML_RESOURCE_GROUP": workspace.resource_group,
        "ML_WORKSPACE_NAME": workspace.name,
        "ML_TENANT_ID": emulator.tenant_id,
        "ML_CLIENT_ID": emulator.client_id,
        "ML_CLIENT_SECRET": emulator.client_secret,
    }


if __name__ == "__main__":
    raise SystemExit(main())
