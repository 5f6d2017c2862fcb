"""A request to each route of the emulator that it carries out: what a fuzz makes its variants of."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.contract.arm import Arm
from tests.contract.test_page import cookie
from zenml_azureml.emulator import Emulator
from zenml_azureml.emulator.app import all_routes
from zenml_azureml.emulator.jobs.variables import experiment_id
from zenml_azureml.emulator.services.aml.asset_paths import find_place
from zenml_azureml.emulator.services.keyvault.routes import vault_service
from zenml_azureml.emulator.services.storage.sas import CONTAINER, account_folder, account_of

#: A blob that exists once `prepare` has run.
BLOB = "ExperimentRun/dcid.job/user_logs/std_log.txt"

JOB: dict[str, Any] = {
    "description": "words",
    "tags": {"a": "b"},
    "properties": {"c": "d"},
    "displayName": "name",
    "experimentName": "experiment",
    "services": {"ssh": {"jobServiceType": "SSH", "port": 22, "properties": {"k": "v"}, "nodes": None}},
    "computeId": "cluster",
    "isArchived": False,
    "identity": {"identityType": "Managed"},
    "componentId": None,
    "jobType": "Command",
    "resources": {
        "instanceCount": 2,
        "instanceType": "Standard_DS3_v2",
        "shmSize": "2g",
        "dockerArgs": "--ipc=host",
        "locations": ["westeurope"],
        "properties": {"k": "v"},
    },
    "codeId": "code",
    "command": "echo ${{inputs.data}} ${{outputs.model}}",
    "environmentId": "azureml:asset:1",
    "inputs": {
        "data": {"jobInputType": "uri_folder", "uri": "azureml://datastores/d/paths/x", "mode": "ReadOnlyMount"},
        "rate": {"jobInputType": "literal", "value": "0.1"},
    },
    "outputs": {
        "model": {"jobOutputType": "uri_folder", "uri": "azureml://datastores/d/paths/y", "mode": "ReadWriteMount"}
    },
    "distribution": {"distributionType": "PyTorch", "processCountPerInstance": 2},
    "limits": {"jobLimitsType": "Command", "timeout": "PT5M"},
    "environmentVariables": {"A": "1", "SIMULATE_LINES": "2"},
    "queueSettings": {"jobTier": "Standard", "priority": 1},
}
CLUSTER: dict[str, Any] = {
    "location": "westeurope",
    "tags": {"a": "b"},
    "identity": {"type": "SystemAssigned,UserAssigned", "userAssignedIdentities": {"/subscriptions/s/x": {}}},
    "properties": {
        "computeType": "AmlCompute",
        "description": "words",
        "disableLocalAuth": True,
        "properties": {
            "vmSize": "STANDARD_DS2_V2",
            "vmPriority": "Dedicated",
            "scaleSettings": {"minNodeCount": 0, "maxNodeCount": 4, "nodeIdleTimeBeforeScaleDown": "PT2M"},
            "subnet": {"id": "subnet"},
            "userAccountCredentials": {"adminUserName": "me", "adminUserSshPublicKey": "key"},
        },
    },
}
SECRET: dict[str, Any] = {
    "value": "hush",
    "contentType": "text/plain",
    "tags": {"a": "b"},
    "attributes": {"enabled": True, "exp": 2_000_000_000, "nbf": 0},
}

ASSETS: dict[str, dict[str, Any]] = {
    "environments": {"image": "python", "condaFile": "name: x\nchannels: [a]\n", "tags": {"a": "b"}, "osType": "Linux"},
    "data": {
        "dataType": "uri_folder",
        "dataUri": "azureml://datastores/workspaceblobstore/paths/x",
        "tags": {"a": "b"},
    },
    "models": {
        "modelType": "custom_model",
        "modelUri": "azureml://jobs/job/outputs/artifacts/paths/user_logs/std_log.txt",
        "jobName": "job",
    },
    "codes": {"codeUri": "https://x.blob.core.windows.net/y/z", "properties": {"hash_sha256": "a", "hash_version": 1}},
    "components": {"componentSpec": {"type": "command", "command": "echo", "inputs": {"a": {"type": "number"}}}},
}

#: Begins the paths of services that take a token of Resource Manager.
_WITH_TOKEN = (
    *(
        "/subscriptions",
        "/tenants",
        "/history",
        "/artifact/",
        "/mlflow",
        "/data/",
        "/modelregistry/",
        "/mferp/",
        "/nodes/",
    ),
    "/registrymanagement/",
)

#: Begins the paths of the page, which takes the cookie of a browser.
_WITH_COOKIE = ("/runs/", "/data/{asset}/", "/_emulator/page")

#: A variable of a route's path, with or without its regular expression.
VARIABLE = re.compile(r"\{(?P<name>\w+)(?::(?:[^{}]|\{\d+\})*)?\}")

#: The body of a route, by its method and the end of its path; every other one gets `{}`.
BODIES: dict[tuple[str, str], Any] = {
    ("PUT", "/jobs/{job}"): {"properties": JOB},
    ("PUT", "/registries/{registry}/models/{asset}/versions/{version}"): {
        "properties": {"modelUri": "https://x.blob.core.windows.net/y/z"}
    },
    **{("PUT", f"/{kind}/{{asset}}/versions/{{version}}"): {"properties": sent} for kind, sent in ASSETS.items()},
    ("PUT", "/datastores/{datastore}"): {
        "properties": {
            "datastoreType": "AzureBlob",
            "accountName": "x",
            "containerName": "y",
            "credentials": {"credentialsType": "AccountKey", "secrets": {"secretsType": "AccountKey", "key": "a2V5"}},
        }
    },
    ("POST", "/listSecrets"): {"expirableSecret": True, "expireAfterHours": 1},
    ("PUT", "/computes/{compute}"): CLUSTER,
    ("PATCH", "/computes/{compute}"): {"properties": {"properties": {"scaleSettings": {"maxNodeCount": 5}}}},
    ("PUT", "/registries/{registry}"): {
        "location": "westeurope",
        "sku": {"name": "Basic"},
        "tags": {"a": "b"},
        "properties": {"adminUserEnabled": True},
    },
    ("PUT", "/tempdatarefs/{asset}/versions/{version}"): {"assetId": "azureml://registries/registry/data/a/versions/1"},
    ("POST", "/datarefs/{asset}/versions/{version}"): {"blobUri": "https://x.blob.core.windows.net/y/z"},
    ("POST", "/import"): {
        "properties": {
            "sourceAssetId": "azureml://locations/l/workspaces/{workspace_id}/data/asset/versions/1",
            "destinationName": "a",
            "destinationVersion": "2",
        }
    },
    ("POST", "/diagnose"): {"value": {"keyVault": {}, "storageAccount": {}}},
    ("PATCH", "/vaults/{vault}"): {
        "properties": {
            "enableRbacAuthorization": True,
            "accessPolicies": [{"objectId": "o", "tenantId": "t", "permissions": {"secrets": ["get"]}}],
        }
    },
    ("PATCH", "/workspaces/{workspace}"): {
        "identity": {"type": "UserAssigned", "userAssignedIdentities": {"/subscriptions/s/x": {}}},
        "properties": {"primaryUserAssignedIdentity": "/subscriptions/s/x", "containerRegistry": "/subscriptions/r"},
    },
    ("PUT", "/roleAssignments/{assignment}"): {
        "properties": {
            "roleDefinitionId": "/x/acdd72a7-3385-48ef-bd42-f606fba81ae7",
            "principalId": "p",
            "principalType": "User",
        }
    },
    ("PATCH", "/runs/{run}"): {"tags": {"a": "b"}, "displayName": "n", "description": "d", "hidden": False},
    ("POST", "/batch/metadata"): {"paths": [{"path": "outputs/new.txt"}]},
    ("POST", "/rundata"): {
        "runId": "job",
        "selectRunMetadata": True,
        "selectRunDefinition": True,
        "selectJobSpecification": True,
    },
    ("POST", "/_emulator/faults"): {
        "method": "PUT",
        "path": "/never",
        "after": 1,
        "times": 1,
        "delay": 0.0,
        "status": 429,
        "headers": {"Retry-After": "1"},
        "body": {"a": 1},
    },
    ("POST", "/_emulator/scenario"): {"name": "quota", "jobs": "never", "times": 1, "after": 0.0, "now": False},
    ("POST", "/_emulator/jobs/{job}/kill"): {"rank": 0},
    ("POST", "/_emulator/settings"): {"page_size": 20, "rate_limits": False, "simulated_seconds": 0},
    ("POST", "/_emulator/tokens/revoke"): {"answer": "none"},
    ("POST", "/_emulator/secret/rotate"): {"old": "deleted"},
    ("POST", "/_emulator/roles"): {"roles": ["Owner"], "scope": "/subscriptions/x"},
    ("POST", "/_emulator/vault-access"): {"computes": ["cluster"]},
    ("PUT", "/secrets/{name}"): SECRET,
    ("PATCH", "/secrets/{name}/{version}"): SECRET,
}


@dataclass(frozen=True)
class Target:
    """A route, and a request to it that is carried out.

    Attributes:
        method: HTTP method.
        template: Path of the route.
        address: What it is served at.
        names: Values of the path's variables, which exist.
        body: JSON of its body; a mapping of text for the token endpoint, which takes a form.
        query: Of its URL.
        headers: Makes the headers of a request for a path and its query: credentials.
    """

    method: str
    template: str
    address: str
    names: Mapping[str, str]
    body: Any
    query: Mapping[str, str]
    headers: Callable[[str, Mapping[str, str]], Mapping[str, str]] = field(compare=False)


def targets(emulator: Emulator) -> list[Target]:
    """Every route of the emulator, those of its key vaults too."""
    vault = emulator.context.store.vaults[0].address
    service = vault_service(emulator.context)
    in_browser = cookie(Arm(emulator))
    own = [(route.method, route.path, emulator.base_url) for route in all_routes()]
    own += [
        (route.method, route.resource.canonical, vault)
        for route in service.router.routes()
        if route.resource is not None and route.method != "HEAD"
    ]
    return [_target(emulator, *one, in_browser) for one in own]


def admin_headers(emulator: Emulator) -> dict[str, str]:
    """The credential of the emulator's own interface, which takes JSON only."""
    return {**emulator.admin_headers, "Content-Type": "application/json"}


def _target(emulator: Emulator, method: str, template: str, address: str, in_browser: Mapping[str, str]) -> Target:
    context = emulator.context
    workspace, arm = context.store.workspaces[0], Arm(emulator)
    known = {
        "subscription": workspace.subscription_id,
        "resource_group": workspace.resource_group,
        "group": workspace.resource_group,
        "workspace": workspace.name,
        "workspace_id": workspace.workspace_id,
        "location": workspace.location,
        "job": "job",
        "node": "0",
        "run": "job",
        "experiment": "experiment",
        "experiment_id": experiment_id(workspace, "experiment"),
        "asset": "asset",
        "version": "1",
        "compute": "cluster",
        "action": "start",
        "operation": "operation",
        "registry": "registry",
        "vault": context.store.vaults[0].name,
        "name": "secret",
        "assignment": "assignment",
        "definition": "acdd72a7-3385-48ef-bd42-f606fba81ae7",
        "namespace": "Microsoft.X",
        "kind": "kinds",
        "datastore": "made" if method in ("PUT", "DELETE") else "workspaceblobstore",
        "tenant": context.tenant_id,
        "api_version": "v2.0",
        "api": "2.0",
        "preview": "",
        "account": account_folder(workspace),
        "suffix": "core.windows.net",
        "container": CONTAINER if "{blob" in template or method in ("GET", "HEAD") else "made",
        "blob": BLOB,
        "secret": context.keys.machine,
        "file": "page.js",
    }
    names = {name: known.get(name, "x") for name in web_names(template)}
    ends = [body for (verb, end), body in BODIES.items() if verb == method and template.endswith(end)]
    body: Any = ends[0] if ends else {}
    if template.endswith("/import"):
        body = json.loads(json.dumps(body).replace("{workspace_id}", workspace.workspace_id))
    query: dict[str, str] = {"api-version": "2024-01-01-preview"}
    headers: Callable[[str, Mapping[str, str]], Mapping[str, str]]
    is_page = template == "/" or template.startswith(_WITH_COOKIE)
    if template.startswith(_WITH_TOKEN) and not is_page:
        query |= {"path": "user_logs/std_log.txt"} if "/artifacts" in template else {}
        headers = lambda _path, _query: {"Authorization": f"Bearer {arm.token()}"}  # noqa: E731
    elif is_page:
        names["workspace"] = workspace.workspace_id
        headers = lambda _path, _query: in_browser  # noqa: E731
    elif address != emulator.base_url:
        query = {"api-version": "7.4"}
        headers = lambda _path, _query: {"Authorization": f"Bearer {arm.token(audience='https://vault.azure.net')}"}  # noqa: E731
    elif template.startswith("/{account") and "blob" in names:
        account = account_of(workspace, emulator.base_url)
        names["blob"] = BLOB if method in ("GET", "HEAD") else "made"
        url = account.sas_url(names["blob"], now=context.clock.now(), lifetime=timedelta(days=1), permissions="rcwd")
        query = dict(pair.split("=", 1) for pair in urlsplit(url).query.split("&"))
        headers = lambda _path, _query: {"x-ms-blob-type": "BlockBlob"}  # noqa: E731
    elif template.startswith("/{account") and method in ("PUT", "DELETE"):  # a key would sign the length of the body
        sas = account_of(workspace, emulator.base_url).account_sas(now=context.clock.now(), lifetime=timedelta(days=1))
        query = {"restype": "container", **dict(parse_qsl(sas.removeprefix("?")))}
        headers = lambda _path, _query: {}  # noqa: E731
    elif template.startswith("/{account"):
        query = {"restype": "container", **({"comp": "list"} if method == "GET" else {})}
        headers = lambda path, sent: _shared_key(workspace.storage_key, method, path, sent)  # noqa: E731
    elif template.endswith("/token") and "{tenant}" in template:
        body = {
            "grant_type": "client_credentials",
            "client_id": emulator.client_id,
            "client_secret": emulator.client_secret,
            "scope": "https://management.azure.com/.default",
            "claims": '{"access_token": {"xms_cc": {"values": ["cp1"]}}}',
        }
        headers = lambda _path, _query: {"Content-Type": "application/x-www-form-urlencoded"}  # noqa: E731
    else:
        query = {"resource": "https://management.azure.com", "authorization_endpoint": "https://x/y"}
        headers = lambda _path, _query: {  # noqa: E731
            "Metadata": "true",
            "X-IDENTITY-HEADER": context.keys.machine,
            **(admin_headers(emulator) if template.startswith("/_emulator") else {}),
        }
    return Target(method, template, address, names, body, query, headers)


def web_names(template: str) -> list[str]:
    """The names of the variables of a route's path."""
    return [found["name"] for found in VARIABLE.finditer(template)]


def _shared_key(key: bytes, method: str, path: str, query: Mapping[str, str]) -> dict[str, str]:
    """Sign a request as "Authorize with Shared Key" describes it, with one header of the service."""
    account = path.split("/")[1]
    lines = [method, *[""] * 11, "x-ms-version:2021-12-02", f"/{account}{path}"]
    lines += [f"{name.lower()}:{value}" for name, value in sorted(query.items())]
    digest = hmac.digest(key, "\n".join(lines).encode(), hashlib.sha256)
    return {
        "x-ms-version": "2021-12-02",
        "Authorization": f"SharedKey {account}:{base64.b64encode(digest).decode()}",
    }


def prepare(emulator: Emulator) -> None:
    """Make what the requests name: a cluster, an environment, a job, a log, a secret, and the files of data."""
    arm = Arm(emulator)
    emulator.context.settings.rate_limits = False
    assert arm.call("PUT", "computes/cluster", CLUSTER).status == 201
    assert arm.call("PUT", "jobs/job", {"properties": JOB}).status == 201
    emulator.run(_write_log(emulator))
    for kind, sent in ASSETS.items():
        assert arm.call("PUT", f"{kind}/asset/versions/1", {"properties": sent}).status == 201
    workspace = emulator.context.store.workspaces[0]
    data = find_place(emulator.context.folder, workspace, f"{ASSETS['data']['dataUri']}/a.txt").file
    data.parent.mkdir(parents=True)
    data.write_text("a")


async def _write_log(emulator: Emulator) -> None:
    job = emulator.context.store.workspaces[0].find_job("job")
    assert job is not None
    job.log_folder.mkdir(parents=True, exist_ok=True)
    (job.log_folder / "std_log.txt").write_text("line\n" * 10)
