"""The shell variables with which an unmodified script finds the emulator, and how they are undone."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Literal
from urllib.parse import urlsplit

from zenml_azureml.emulator.local.instance import Running
from zenml_azureml.emulator.local.keys import curl_file, found_keys
from zenml_azureml.emulator.local.private_files import write_private
from zenml_azureml.emulator.services.entra.clouds import CLOUDS
from zenml_azureml.emulator.services.entra.identity import stored_names
from zenml_azureml.emulator.services.entra.machine_identities import ENDPOINT

#: Credentials of scripts, each with its variables for `DefaultAzureCredential`.
SignIn = Literal["workload-identity", "client-secret", "managed-identity", "azure-cli"]

#: Variable with the value of the CLI's `--state`; it marks that these variables are set.
STATE_VARIABLE = "ZENML_AZUREML_EMULATOR_STATE"
#: The key of the emulator's own interface, and a file for `curl --config` that has it.
KEY_VARIABLE = "ZENML_AZUREML_EMULATOR_KEY"
CURL_VARIABLE = "ZENML_AZUREML_EMULATOR_CURL"
#: Begins the names under which a shell keeps the values that were there before.
_KEPT = "ZENML_AZUREML_KEPT_"
_ACTIVE = "ZENML_AZUREML_EMULATOR_ENV"

_SIGN_IN_VARIABLES = (
    "AZURE_TENANT_ID",
    "AZURE_CLIENT_ID",
    "AZURE_CLIENT_SECRET",
    "AZURE_FEDERATED_TOKEN_FILE",
    "IDENTITY_ENDPOINT",
    "IDENTITY_HEADER",
)
# What `DefaultAzureCredential` and `MLClient` would follow instead of what is exported.
_MISLEADING = (
    "AZURE_CLIENT_CERTIFICATE_PATH",
    "AZURE_CLIENT_CERTIFICATE_PASSWORD",
    "AZURE_CLIENT_SEND_CERTIFICATE_CHAIN",
    "AZURE_USERNAME",
    "AZURE_PASSWORD",
    "AZURE_TOKEN_CREDENTIALS",
    "AZURE_REGIONAL_AUTHORITY_NAME",
    "IDENTITY_SERVER_THUMBPRINT",
    "AZURE_POD_IDENTITY_AUTHORITY_HOST",
    "MSI_ENDPOINT",
    "MSI_SECRET",
    "ARM_CLOUD_METADATA_URL",
)
_EXPORTED = (
    "AZUREML_DEV_URL_MFE",
    "AZURE_AUTHORITY_HOST",
    "AZUREML_CURRENT_CLOUD",
    "AZURE_CONFIG_DIR",
    "REQUESTS_CA_BUNDLE",
    "AZUREML_ARM_SUBSCRIPTION",
    "AZUREML_ARM_RESOURCEGROUP",
    "AZUREML_ARM_WORKSPACE_NAME",
    STATE_VARIABLE,
)
#: Comment for users of an emulator without a proxy.
REACH_AZURE = (
    "ZenML's Azure service connector, the azure-mgmt-* packages, the Azure CLI and MLflow with a URI of Azure follow "
    "none of these variables: they reach Azure itself, unless the emulator is started with --proxy."
)
_KEY_VARIABLES = (KEY_VARIABLE, CURL_VARIABLE)
# requests and curl read the lower-case ones first, other clients read the upper-case ones only.
_PROXY = ("HTTPS_PROXY", "https_proxy")
_OTHER_PROXIES = ("ALL_PROXY", "all_proxy")
_NO_PROXY = ("NO_PROXY", "no_proxy")
_TOUCHED = (*_EXPORTED, *_KEY_VARIABLES, *_SIGN_IN_VARIABLES, *_PROXY, *_NO_PROXY, *_MISLEADING)


def variables(
    emulator: Running, ca_bundle: Path, shell: Mapping[str, str], sign_in: SignIn = "workload-identity"
) -> dict[str, str]:
    """Return the variables with which a script finds the emulator.

    Args:
        emulator: The emulator.
        ca_bundle: The certificates to trust, the emulator's among them.
        shell: The variables of the shell that the script will run in.
        sign_in: Credential of the script.

    Returns:
        The variables to set; those for proxies only if the emulator or the shell has one.
    """
    options = emulator.options
    values = (
        emulator.base_url,
        # Behind the proxy there is Microsoft's own address, the only one that azure-identity takes for vouched for.
        f"https://{CLOUDS[options.cloud].login_hosts[0]}" if emulator.proxy_url else emulator.base_url,
        # Without it, azureml-mlflow asks Azure Resource Manager which clouds there are.
        options.cloud,
        # The Azure CLI's: the login that is on the machine is neither used nor changed.
        str(emulator.state / "azure-cli"),
        str(ca_bundle),
        options.subscription_id,
        options.resource_group,
        options.workspace_name,
        str(emulator.state),
    )
    result = {**dict(zip(_EXPORTED, values, strict=True)), **_sign_in_variables(emulator, sign_in)}
    keys = found_keys(emulator.state)
    if keys:
        result |= zip(_KEY_VARIABLES, (keys.admin, str(curl_file(emulator.state))), strict=True)
    if emulator.proxy_url:
        password = f"emulator:{keys.proxy}@" if keys else ""
        result |= dict.fromkeys(_PROXY, emulator.proxy_url.replace("://", f"://{password}", 1))
    if emulator.proxy_url or any(_before(shell, name) for name in (*_PROXY, *_OTHER_PROXIES)):
        for name in _NO_PROXY:
            hosts = _before(shell, name).split(",")
            result[name] = ",".join([*filter(None, hosts), str(urlsplit(emulator.base_url).hostname)])
    return result


def variables_elsewhere(emulator: Running, folder: PurePosixPath, sign_in: SignIn) -> dict[str, str]:
    """Return the variables with which a script on another machine finds the emulator.

    Args:
        emulator: The emulator.
        folder: Folder on that machine with copies of the CA bundle and of the application's assertion.
        sign_in: Credential of the script.

    Returns:
        The variables to set, without paths of this machine.
    """
    options = emulator.options
    signing_in = _sign_in_variables(emulator, sign_in)
    if "AZURE_FEDERATED_TOKEN_FILE" in signing_in:
        signing_in["AZURE_FEDERATED_TOKEN_FILE"] = str(folder / emulator.federated_token_file.name)
    return {
        "AZUREML_DEV_URL_MFE": emulator.base_url,
        "AZURE_AUTHORITY_HOST": emulator.base_url,
        "AZUREML_CURRENT_CLOUD": options.cloud,
        "REQUESTS_CA_BUNDLE": str(folder / emulator.ca_bundle.name),
        "AZUREML_ARM_SUBSCRIPTION": options.subscription_id,
        "AZUREML_ARM_RESOURCEGROUP": options.resource_group,
        "AZUREML_ARM_WORKSPACE_NAME": options.workspace_name,
        **signing_in,
    }


def set_lines(values: Mapping[str, str], shell: Mapping[str, str]) -> list[str]:
    """Shell lines that set the variables and keep what was there before.

    Args:
        values: Result of `variables`.
        shell: The variables of the shell that will evaluate the lines.

    Returns:
        Lines for sh, bash and zsh. A former value is kept by reference: no secret of the shell is in them.
    """
    # Undone first: what an emulator has set that ran with other options would stay.
    keep = [f'export {_KEPT}{name}="${name}"' for name in own_variables(shell) if name in _TOUCHED]
    exports = [f"export {name}={shlex.quote(value)}" for name, value in values.items()]
    return [*unset_lines(shell), *keep, *exports, f"export {_ACTIVE}=1", f"unset {' '.join(unset_names(values))}"]


def unset_names(values: Mapping[str, str]) -> list[str]:
    """Return the variables to unset, which clients would follow instead.

    Args:
        values: Result of `variables`.
    """
    return [name for name in (*_SIGN_IN_VARIABLES, *_MISLEADING) if name not in values]


def unset_lines(shell: Mapping[str, str]) -> list[str]:
    """Shell lines that undo `set_lines`.

    Args:
        shell: The variables of the shell that will evaluate the lines.

    Returns:
        Lines for sh, bash and zsh; none if there is nothing to undo.
    """
    if _ACTIVE not in shell:
        return []
    lines = []
    for name in _TOUCHED:
        if f"{_KEPT}{name}" in shell:
            lines += [f'export {name}="${_KEPT}{name}"', f"unset {_KEPT}{name}"]
        else:
            lines.append(f"unset {name}")
    return [*lines, f"unset {_ACTIVE}"]


def ca_bundle(emulator: Running, shell: Mapping[str, str]) -> Path:
    """Return the certificates for a script: certifi's, the emulator's, and the shell's own.

    Args:
        emulator: The emulator.
        shell: The variables of the shell that the script will run in.

    Returns:
        A PEM file in the state folder.
    """
    # In the order in which requests reads them.
    own = _before(shell, "REQUESTS_CA_BUNDLE") or _before(shell, "CURL_CA_BUNDLE")
    if not own or not Path(own).exists():
        return emulator.ca_bundle
    # requests takes a folder of certificates too.
    files = [Path(own)] if Path(own).is_file() else sorted(Path(own).glob("*.pem"))
    content = b"\n".join(file.read_bytes() for file in (emulator.ca_bundle, *files))
    bundle = emulator.state / f"ca-bundle-{hashlib.sha256(content).hexdigest()[:12]}.pem"
    write_private(bundle, content)
    return bundle


def _sign_in_variables(emulator: Running, sign_in: SignIn) -> dict[str, str]:
    application = {"AZURE_TENANT_ID": emulator.tenant_id, "AZURE_CLIENT_ID": emulator.client_id}
    if sign_in == "workload-identity":
        return {**application, "AZURE_FEDERATED_TOKEN_FILE": str(emulator.federated_token_file)}
    if sign_in == "client-secret":
        return {**application, "AZURE_CLIENT_SECRET": stored_names(emulator.state)["client_secret"]}
    if sign_in == "managed-identity":
        keys = found_keys(emulator.state)
        header = {"IDENTITY_HEADER": keys.machine} if keys else {}
        return {"IDENTITY_ENDPOINT": emulator.base_url + ENDPOINT, **header}
    return {}


def own_variables(shell: Mapping[str, str]) -> dict[str, str]:
    """Return a shell's variables as they were before `set_lines`.

    Args:
        shell: The variables of the shell now.
    """
    if _ACTIVE not in shell:
        return dict(shell)
    kept = {name.removeprefix(_KEPT): value for name, value in shell.items() if name.startswith(_KEPT)}
    others = {name: value for name, value in shell.items() if name not in _TOUCHED and not name.startswith(_KEPT)}
    return {**others, **kept}


def _before(shell: Mapping[str, str], name: str) -> str:
    return own_variables(shell).get(name, "")
