"""What cannot work is one error that says what is wrong and what to do, before anything is created in Azure."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.conftest import Project
from tests.e2e.requests_of import requests_of
from zenml_azureml.emulator import Emulator, WorkspaceName

#: Runs each of CASES (name to a function that makes and runs a pipeline), and prints a JSON object of what came of it.
RUN_ALL = """
def tried(case):
    before = Client().list_pipeline_runs().total
    try:
        case()
    except BaseException as error:
        raised = f"{type(error).__name__}: {error}"
    else:
        raised = ""
    run = last_run() if Client().list_pipeline_runs().total > before else None
    infos = [step_run.exception_info for step_run in run.steps.values()] if run else []
    statuses = [step_run.status for step_run in run.steps.values()] if run else []
    return {"raised": raised, "statuses": statuses, "server": [info.message for info in infos if info]}

if __name__ == "__main__":
    print(json.dumps({name: tried(case) for name, case in CASES.items()}))
"""

MISTAKEN_SETTINGS = (
    """
import json
from pathlib import Path

def with_settings(settings):
    def case():
        @pipeline(enable_cache=False, settings=NO_BUILD)
        def mistaken():
            CommandStep(["true"], name="it", step_operator="azureml", settings={"step_operator": settings})()
        mistaken()
    return case

@step(step_operator="azureml")
def by_file() -> None: ...

def misspelt_in_a_file():
    Path("run.yaml").write_text("steps: {by_file: {settings: {step_operator: {compute_sise: big}}}}")

    @pipeline(enable_cache=False, settings=NO_BUILD)
    def mistaken():
        by_file()
    mistaken.with_options(config_path="run.yaml")()

def misspelt_in_the_decorator():
    @step(step_operator="azureml", settings={"step_operator": {"compute_sise": "big"}})
    def it() -> None: ...

    @pipeline(enable_cache=False, settings=NO_BUILD)
    def mistaken():
        it()
    mistaken()

def misspelt_on_the_pipeline():
    @pipeline(enable_cache=False, settings={**NO_BUILD, "step_operator": {"compute_sise": "big"}})
    def mistaken():
        CommandStep(["true"], name="it", step_operator="azureml")()
    mistaken()

CASES = {
    "unknown mode": with_settings({"mode": "cluster"}),
    "missing compute_name": with_settings({"mode": "compute-instance"}),
    "impossible compute name": with_settings({"mode": "compute-cluster", "compute_name": "my cluster"}),
    "misspelt in the decorator": misspelt_in_the_decorator,
    "misspelt in a file": misspelt_in_a_file,
    "misspelt on the pipeline": misspelt_on_the_pipeline,
    "misspelt in an object": lambda: AzureMLStepOperatorSettings(compute_sise="big"),
    "misspelt when registered": lambda: Client().create_stack_component(
        "other", "azureml", "step_operator",
        {"subscription_id": "s", "resource_group": "r", "workspace_name": "w", "compute_sise": "big"},
    ),
}
"""
    + RUN_ALL
)

MISSPELT = ["compute_sise", "Did you mean `compute_size`?"]

#: Parts of the one error, for each case of MISTAKEN_SETTINGS.
EXPECTED_OF_SETTINGS = {
    "unknown mode": ["`mode='cluster'`", "'serverless', 'compute-instance' or 'compute-cluster'"],
    "missing compute_name": ["`mode='compute-instance'` needs a `compute_name`"],
    "impossible compute name": ["my cluster", "hyphens"],
    "misspelt in the decorator": MISSPELT,
    "misspelt in a file": MISSPELT,
    "misspelt on the pipeline": MISSPELT,
    "misspelt in an object": MISSPELT,
    # ZenML's own refusal: it comes before anything of ours is asked.
    "misspelt when registered": ["Invalid configuration keys ['compute_sise'] for azureml step_operator"],
}


@pytest.mark.long
def test_settings_that_cannot_be_meant_start_nothing(
    simulated_project: Project, emulator: Emulator, subtests: pytest.Subtests
) -> None:
    outcomes = outcomes_of(simulated_project, MISTAKEN_SETTINGS)

    for case, parts in EXPECTED_OF_SETTINGS.items():
        with subtests.test(case):
            outcome = outcomes[case]
            for part in parts:
                assert part in outcome["raised"]
            assert outcome["statuses"] == []
    assert requests_of(emulator) == []


WRONG_WAYS = (
    """
import json, os, sys

right, service_principal = json.loads(sys.argv[1])

IMPATIENT = {"step_operator": AzureMLStepOperatorSettings(max_unreachable_minutes=0.02)}

def with_operator(configuration, variables={}, before=lambda: None):
    def case():
        client = Client()
        name = f"operator-{len(client.list_stack_components(type='step_operator'))}"
        client.create_stack_component(name, "azureml", "step_operator", {**right, **configuration})
        client.update_stack(component_updates={"step_operator": [name]})
        os.environ.update(variables)
        before()

        @pipeline(enable_cache=False, settings=NO_BUILD)
        def mistaken():
            CommandStep(["true"], name="it", step_operator=name, settings=IMPATIENT)()
        mistaken()
    return case

def expire_tokens():
    import requests
    url = os.environ["AZUREML_DEV_URL_MFE"]
    headers = {"Authorization": "Bearer " + os.environ["ZENML_AZUREML_EMULATOR_KEY"]}
    body = {"token_lifetime": 0.001}
    requests.post(f"{url}/_emulator/settings", json=body, headers=headers, timeout=10).raise_for_status()

CASES = {
    "no such workspace": with_operator({"workspace_name": "elsewhere"}),
    "no such resource group": with_operator({"resource_group": "elsewhere"}),
    "no such subscription": with_operator({"subscription_id": "00000000-0000-0000-0000-000000000000"}),
    "wrong secret": with_operator({**service_principal, "service_principal_password": "guessed"}),
    "wrong tenant": with_operator({**service_principal, "tenant_id": "11111111-1111-1111-1111-111111111111"}),
    "expired token": with_operator({}, before=expire_tokens),
    "unreachable": with_operator({}, {"AZUREML_DEV_URL_MFE": "https://127.0.0.1:1"}),
}
"""
    + RUN_ALL
)

#: What Azure says and what to do, for each case of WRONG_WAYS.
EXPECTED_OF_WAYS = {
    "no such workspace": ["(ResourceNotFound)", "`workspace_name`", "zenml step-operator update"],
    "no such resource group": ["(ResourceGroupNotFound)", "`resource_group`", "zenml step-operator update"],
    "no such subscription": ["(SubscriptionNotFound)", "`subscription_id`", "zenml step-operator update"],
    "wrong secret": ["AADSTS7000215", "even while a step waits", "service principal"],
    "wrong tenant": ["double check your tenant name or GUID", "correct `service_principal_id` and `tenant_id`"],
    "expired token": ["(ExpiredAuthenticationToken)", "step waits; or give the step operator a service connector"],
    "unreachable": ["could not be reached at https://127.0.0.1:1", "AZUREML_DEV_URL_MFE"],
}


def test_a_workspace_that_cannot_be_used_is_told_by_its_own_words_and_by_what_to_do(
    simulated_project: Project, emulator: Emulator, subtests: pytest.Subtests
) -> None:
    name = WorkspaceName()
    right = {
        "subscription_id": name.subscription_id,
        "resource_group": name.resource_group,
        "workspace_name": name.name,
    }
    service_principal = {
        "tenant_id": emulator.tenant_id,
        "service_principal_id": emulator.client_id,
        "service_principal_password": emulator.client_secret,
    }

    outcomes = outcomes_of(simulated_project, WRONG_WAYS, json.dumps([right, service_principal]))

    for case, parts in EXPECTED_OF_WAYS.items():
        with subtests.test(case):
            outcome = outcomes[case]
            assert outcome["raised"]
            assert outcome["statuses"] == ["failed"]
            (told,) = outcome["server"]
            for part in parts:
                assert part in told
            assert told.count("Next steps: ") == 1
            assert emulator.client_secret not in told
    assert [r for r in requests_of(emulator) if r["method"] == "PUT"] == []


def outcomes_of(project: Project, script: str, *arguments: str) -> dict[str, dict[str, Any]]:
    """What came of each case that a script tries."""
    *_, last = project.succeed(script, *arguments).splitlines()
    outcomes: dict[str, dict[str, Any]] = json.loads(last)
    return outcomes
