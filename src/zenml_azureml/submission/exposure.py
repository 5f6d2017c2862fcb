"""Secrets in settings and jobs at places where others can read them: refused, or named in a warning. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from zenml_azureml import tags
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.secrets.docker_arguments import Argument, DockerArgumentsError, as_line, parse
from zenml_azureml.secrets.known_values import is_telling
from zenml_azureml.secrets.names import means_secret, says_secret
from zenml_azureml.secrets.randomness import has_random_part
from zenml_azureml.secrets.rule import Verdict, is_certain, is_reference, judge, looks_harmless
from zenml_azureml.settings.aliases import AzureMLSettingsError

if TYPE_CHECKING:
    from zenml_azureml.settings.models import AzureMLStepOperatorSettings
    from zenml_azureml.specs.job import JobSpec

#: Settings that everybody reads who may read jobs of the workspace: what they are for.
PUBLIC = frozenset({"tags", "display_name", "description", "experiment_name"})

#: Tags of this package that hold names which a user has chosen.
_NAMES = (tags.PIPELINE, tags.RUN, tags.STEP)

_ADVICE = (
    "Pass secrets to a step in `environment_variables`, as references to ZenML secrets: "
    'environment_variables={"NAME": "{{secret.key}}"}'
)


@dataclass
class _Found:
    """Where secrets are.

    Attributes:
        refused: In what everybody reads; each with what is there.
        in_clear: Where they cannot travel by a key vault.
        literal: Where they stand as they are, and not as references.
    """

    refused: list[str] = field(default_factory=list)
    in_clear: list[str] = field(default_factory=list)
    literal: list[str] = field(default_factory=list)


def exposed_settings(settings: AzureMLStepOperatorSettings) -> list[str]:
    """Return warnings of secrets in settings that others can read.

    Args:
        settings: Of a step, with its fallbacks.

    Raises:
        AzureMLSettingsError: For a secret in a setting that everybody reads, and, with `secrets_via="key-vault"`, for
            what may be a secret and cannot travel by a key vault.
    """
    found = _Found()
    for name, value in settings.model_dump().items():
        if name == "docker_args" and value is not None:
            _look_at_docker_args(as_line(value), found)
        else:
            _look_at(name, value, found)
    if found.refused:
        raise AzureMLSettingsError(
            f"{found.refused[0]}, and everyone who may read jobs of the workspace can read it there.",
            hint=f"Remove it. {_ADVICE}",
        )
    places = _listed(found.in_clear)
    if places and settings.secrets_via == "key-vault":
        raise AzureMLSettingsError(
            f"{places} may hold a secret, which cannot travel by a key vault: only environment variables can.",
            hint=f"{_ADVICE}. Or set `secrets_via='auto'`, with which this is a warning.",
        )
    warnings = []
    if found.literal:
        warnings.append(
            f"ZenML stores settings in clear text, and these hold a secret: {_listed(found.literal)}. Create a ZenML "
            "secret (`zenml secret create NAME --KEY=VALUE`), and write `{{NAME.KEY}}` in the place of the value."
        )
    if places and settings.secrets_via == "auto":
        warnings.append(
            f"{places} may hold a secret, and everyone who may read jobs of the workspace can read it in the job's "
            f"definition: only environment variables travel by a key vault. {_ADVICE}"
        )
    return warnings


def refuse_public_secrets(request: JobSpec) -> None:
    """Make sure that no secret is in what everybody reads of a job: its command, names, description and tags.

    Args:
        request: The job.

    Raises:
        AzureMLError: For the first that there is.
    """
    options = request.options
    names = {key: request.tags[key] for key in _NAMES if key in request.tags}
    texts = [
        ("The step's command", request.command),
        ("The job's display name", options.display_name or request.display_name),
        ("The job's description", options.description or ""),
        ("The job's experiment name", options.experiment or request.experiment),
        *((f"The job's tag `{name}`", f"{name} {value}") for name, value in {**options.tags, **names}.items()),
    ]
    variables = {**request.environment_variables, **options.environment_variables}
    certain = request.certain_secret_names | options.secret_variables
    secrets = {name: variables[name] for name in sorted(certain) if is_telling(variables.get(name, ""))}
    for where, text in texts:
        holder = next((name for name, value in secrets.items() if value in text and not looks_harmless(value)), None)
        if holder is not None or is_certain(text):
            whose = f"the value of the environment variable `{holder}`" if holder else "a secret"
            raise AzureMLError(
                f"{where} holds {whose}, and everyone who may read jobs of the workspace can read it there.",
                hint=f"Remove it: the step finds secrets in its environment. {_ADVICE}",
            )


def _look_at(setting: str, value: Any, found: _Found) -> None:
    by_environment, public = setting == "environment_variables", setting in PUBLIC
    if any(is_certain(name) or is_reference(name) for name in _names(value)):
        found.refused.append(f"A name in `{setting}` is a secret")
    for where, name, text in _leaves(setting, value):
        if is_reference(text):
            if public:
                found.refused.append(f"`{where}` refers to a secret")
            elif not by_environment:
                found.in_clear.append(where)
        elif public and is_certain_in_public(name, text):
            found.refused.append(f"`{where}` holds a secret")
        elif judge(name if by_environment else "", text) is Verdict.SECRET:
            found.literal.append(where)
            if not by_environment:
                found.in_clear.append(where)


def _look_at_docker_args(arguments: str, found: _Found) -> None:
    try:
        parsed = parse(arguments)
    except DockerArgumentsError as error:
        raise AzureMLSettingsError(
            f"`docker_args` cannot be read as a command line: {error}.", hint="Quote its values as for a shell."
        ) from None
    for argument in parsed:
        where = f"docker_args: {argument.label}"
        if argument.name != argument.option and (is_certain(argument.name) or is_reference(argument.name)):
            found.refused.append("A name in `docker_args` is a secret")
        verdict = judge(argument.name, argument.text)
        if verdict is Verdict.SECRET:
            found.literal.append(where)
        if not argument.is_variable and (verdict is Verdict.SECRET or _may_be_secret(argument, verdict)):
            found.in_clear.append(where)


def _may_be_secret(argument: Argument, verdict: Verdict) -> bool:
    """True for free text that is not sure to be harmless, files that cannot be read here, and what looks made up."""
    if argument.is_file or is_reference(argument.text):
        return True
    if argument.is_of_user:
        return verdict is not Verdict.HARMLESS
    return "/" not in argument.text and has_random_part(argument.text)


def is_certain_in_public(name: str, text: str) -> bool:
    """Return whether a text of a public setting certainly is a secret; under a name such as `key`, words are none.

    Args:
        name: Its key in the dictionary it is in, e.g. that of a tag.
        text: The text.
    """
    if is_certain(text):
        return True
    return not looks_harmless(text) if says_secret(name) and not means_secret(name) else means_secret(name)


def _names(value: Any) -> Iterator[str]:
    """Yield the keys of all dictionaries in a value."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield str(key)
            yield from _names(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _names(item)


def _leaves(where: str, value: Any, name: str = "") -> Iterator[tuple[str, str, str]]:
    """Yield the texts in a value: where each stands, its key in the dictionary it is in, and itself."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(f"{where}[{str(key)!r}]", item, str(key))
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _leaves(f"{where}[{index}]", item)
    elif isinstance(value, str):
        yield where, name, str(value)


def _listed(places: list[str]) -> str:
    return ", ".join(f"`{place}`" for place in dict.fromkeys(places))
