"""Secrets in settings at places where others can read them, and references to secrets of ZenML."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.e2e.canaries import DOCKER_FORMS
from zenml_azureml import AzureMLStepOperatorSettings
from zenml_azureml.exceptions import AzureMLError, AzureMLSettingsError
from zenml_azureml.secrets.known_values import masked
from zenml_azureml.settings.plan import resolve
from zenml_azureml.specs.job import JobOptions, JobSpec
from zenml_azureml.submission.exposure import PUBLIC, exposed_settings, refuse_public_secrets
from zenml_azureml.submission.secret_references import with_secrets

TOKEN = "ghp_a7Q9xk2mP4vT8zB6cD1eF3gH5jK7mN9"
SECRETS = {"db": {"password": "correct-horse-4711", "user": "ada"}}


def settings(**values: Any) -> AzureMLStepOperatorSettings:
    return AzureMLStepOperatorSettings(**values)


def read(name: str) -> dict[str, str]:
    return SECRETS[name]


def request_with(options: JobOptions, command: str = "python train.py", tells: frozenset[str] = frozenset()) -> JobSpec:
    return JobSpec(
        *("job", "train (run)", "training", "image", command),
        environment_variables={"PASSWORD": "correct-horse-4711"},
        tags={"zenml_step": "train"},
        options=options,
        own_tag="zenml_step_run_id",
        certain_secret_names=tells,
    )


@pytest.mark.parametrize("via", ["auto", "key-vault", "environment"])
@pytest.mark.parametrize("setting", sorted(PUBLIC))
@pytest.mark.parametrize("value", [TOKEN, f"see {TOKEN}", "{{db.password}}", "postgresql://ada:hunter2@db/train"])
def test_what_everybody_reads_takes_no_secret_however_others_travel(via: str, setting: str, value: str) -> None:
    given = {"owner": value} if setting == "tags" else value
    # What is no name of an experiment is refused for that, before anything else.
    is_no_name = setting == "experiment_name" and value != TOKEN and not value.startswith("{{")
    reason = "begins with a letter or digit" if is_no_name else "all users with read access"

    with pytest.raises(AzureMLSettingsError, match=rf"`{setting}.*{reason}") as raised:
        exposed_settings(settings(secrets_via=via, **{setting: given}))

    assert TOKEN not in str(raised.value)
    assert "hunter2" not in str(raised.value)
    assert is_no_name or "environment_variables" in raised.value.hint


@pytest.mark.parametrize("tags", [{"password": "swordfish"}, {"api_key": "abc-123"}, {"key": "x7Q-k2m"}, {TOKEN: "a"}])
def test_a_tag_that_is_a_secret_by_its_name_is_refused(tags: dict[str, str]) -> None:
    with pytest.raises(AzureMLSettingsError) as raised:
        exposed_settings(settings(tags=tags))

    assert TOKEN not in str(raised.value)


def test_what_people_write_into_tags_and_descriptions_is_let_pass() -> None:
    harmless = settings(
        tags={"key": "value", "team": "ml", "commit": "3f6c9d5a0b123f6c9d5a0b123f6c9d5a0b123f6c", "max_tokens": "512"},
        description="Trains on https://example.org/data; the tokens: words.",
        display_name="nightly 2026-11-29",
        experiment_name="key-value-store",
    )

    assert exposed_settings(harmless) == []


@pytest.mark.parametrize("place", ["environment_variables", "docker_args"])
def test_a_literal_secret_is_named_once_with_what_to_write_instead(place: str) -> None:
    given: Any = {"environment_variables": {"DB_PASS": "swordfish"}, "docker_args": "-ite DB_PASS=swordfish"}

    (warning,) = exposed_settings(settings(**{place: given[place]}))

    assert f"`{place}" in warning
    assert "DB_PASS" in warning
    assert "{{NAME.KEY}}" in warning
    assert "zenml secret create" in warning
    assert "swordfish" not in warning


def test_a_reference_is_named_in_no_warning() -> None:
    given = settings(environment_variables={"DB_PASS": "{{db.password}}"}, docker_args="-e X={{ db.password }}")

    assert exposed_settings(given) == []


#: Forms that no environment variable can stand for.
NOT_BY_ENVIRONMENT = [form for form in DOCKER_FORMS if "A={}" not in form or "build" in form]


@pytest.mark.parametrize("form", [form for form in NOT_BY_ENVIRONMENT if form != "-e {}=1"])
def test_docker_arguments_that_no_variable_can_stand_for_are_refused_or_named(form: str) -> None:
    line = f"--ipc=host {form.format(TOKEN)}"

    with pytest.raises(AzureMLSettingsError, match="a key vault delivers only environment variables") as raised:
        exposed_settings(settings(secrets_via="key-vault", docker_args=line))
    warnings = exposed_settings(settings(docker_args=line))

    assert TOKEN not in str(raised.value) + str(warnings)
    assert any("all users with read access" in warning and "docker_args: " in warning for warning in warnings)


@pytest.mark.parametrize(
    "line", ["--label owner=x7Qk2mP4vT8", "--env-file vars", "--build-arg A=x7Qk2", "--secret id=a,src=b"]
)
def test_values_of_labels_and_files_are_refused_unless_they_are_sure_to_be_harmless(line: str) -> None:
    with pytest.raises(AzureMLSettingsError, match="a key vault delivers only environment variables"):
        exposed_settings(settings(secrets_via="key-vault", docker_args=line))


def test_ordinary_docker_arguments_pass_with_a_key_vault() -> None:
    line = (
        "--ipc=host --shm-size 2g --gpus all -v /mnt/data:/data:ro --ulimit memlock=-1 --network host -u 1000:1000 "
        "--cap-add SYS_PTRACE --device /dev/fuse --label team=ml --mount type=bind,src=/a,dst=/b -e FROM_THE_NODE "
        "--security-opt seccomp=unconfined --hostname node --cpuset-cpus 0-3 --add-host db:10.0.0.1 --rm -it"
    )

    assert exposed_settings(settings(secrets_via="key-vault", docker_args=line)) == []


@pytest.mark.parametrize("value", [TOKEN, "{{db.password}}"])
def test_other_settings_follow_the_mode(value: str) -> None:
    given = {"services": {"look": {"type": "tensor_board", "log_dir": value}}}

    with pytest.raises(AzureMLSettingsError, match="log_dir"):
        exposed_settings(settings(secrets_via="key-vault", **given))
    assert any("log_dir" in warning for warning in exposed_settings(settings(**given)))
    assert not any("everyone" in warning for warning in exposed_settings(settings(secrets_via="environment", **given)))


def test_a_fallback_is_looked_at_too() -> None:
    with pytest.raises(AzureMLSettingsError, match=r"fallback\[0\]"):
        exposed_settings(settings(secrets_via="key-vault", fallback=[{"mode": "serverless", "locations": [TOKEN]}]))


@pytest.mark.parametrize(
    "command",
    [f"echo {TOKEN}", "train.py --password=swordfish", "train.py --api-key swordfish", "curl https://u:pw4711@h/"],
)
def test_a_command_that_holds_a_secret_is_refused(command: str) -> None:
    with pytest.raises(AzureMLError, match="The step's command holds a secret") as raised:
        refuse_public_secrets(request_with(JobOptions(), command))

    assert "swordfish" not in str(raised.value)


def test_the_value_of_a_secret_variable_is_refused_in_what_everybody_reads() -> None:
    tells = frozenset({"PASSWORD"})
    for options, where in (
        (JobOptions(description="it is correct-horse-4711"), "description"),
        (JobOptions(tags={"a": "correct-horse-4711"}), "tag `a`"),
        (JobOptions(display_name="correct-horse-4711"), "display name"),
    ):
        with pytest.raises(AzureMLError, match=f"{where}.*environment variable `PASSWORD`") as raised:
            refuse_public_secrets(request_with(options, tells=tells))
        assert "correct-horse" not in raised.value.summary

    refuse_public_secrets(request_with(JobOptions(description="it is another"), tells=tells))


def test_references_are_replaced_at_any_depth_and_marked_as_secrets() -> None:
    given = settings(
        mode="compute-cluster",
        compute_name="gpus",
        subnet="{{db.user}}",
        environment_variables={"DB_PASS": "{{db.password}}", "EPOCHS": "{{ db.user }}", "PLAIN": "1"},
        docker_args="-e 'X={{ db.password }}' --label owner={{db.user}} --ipc=host",
        services={"look": {"type": "tensor_board", "log_dir": "{{db.user}}"}},
        locations=None,
    )

    before = resolve(given)
    found = with_secrets(before, read)

    assert found.options.environment_variables == {"DB_PASS": "correct-horse-4711", "EPOCHS": "ada", "PLAIN": "1"}
    assert found.options.docker_variables == {"X": "correct-horse-4711"}
    assert found.options.docker_args == "--label owner=ada --ipc=host"
    assert found.options.services[0].log_dir == "ada"
    assert found.compute.subnet == "ada"  # type: ignore[union-attr]
    assert found.options.secret_variables == {"DB_PASS", "EPOCHS", "X"}
    # Whoever echoes it, no message shows it; and what means a setting asks for no secret.
    assert masked("it is correct-horse-4711.") == "it is REDACTED."
    assert str(AzureMLError("refused: correct-horse-4711")) == "refused: REDACTED"
    assert "correct-horse" not in repr(found.options)
    assert before == resolve(given)
    assert given.docker_args == "-e 'X={{ db.password }}' --label owner={{db.user}} --ipc=host"


@pytest.mark.parametrize(
    ("reference", "says"),
    [
        ("{{nothing.here}}", "There is no ZenML secret `nothing`, to which `environment_variables['A']` refers."),
        (
            "{{db.here}}",
            "The ZenML secret `db` has no key `here`, to which `environment_variables['A']` refers. Its keys",
        ),
    ],
)
def test_a_secret_or_key_that_is_missing_is_named_with_the_setting_and_a_command(reference: str, says: str) -> None:
    with pytest.raises(AzureMLError) as raised:
        with_secrets(resolve(settings(environment_variables={"A": reference})), read)

    assert str(raised.value).startswith(says)
    assert "zenml secret " in raised.value.hint


def test_a_secret_that_cannot_be_read_says_why() -> None:
    def refuse(name: str) -> dict[str, str]:
        raise PermissionError(f"no permission to read {name}")

    with pytest.raises(
        AzureMLError, match="`db`, to which `environment_variables\\['A'\\]` refers, cannot be read: no perm"
    ):
        with_secrets(resolve(settings(environment_variables={"A": "{{db.password}}"})), refuse)


def test_reading_a_setting_asks_zenml_for_no_secret() -> None:
    given = settings(docker_args="{{nowhere.at_all}}", subnet="{{nowhere.at_all}}")

    assert (given.docker_args, given.subnet) == ("{{nowhere.at_all}}", "{{nowhere.at_all}}")


def test_no_repr_and_no_error_of_settings_shows_a_secret() -> None:
    given = settings(
        environment_variables={"A": TOKEN, "PIN": "4711", "EPOCHS": "3"},
        docker_args=f"-iteA={TOKEN} --label a={TOKEN} --ipc=host",
        services={"look": {"type": "ssh", "ssh_public_keys": TOKEN}},
        distribution={"type": "ray", "head_node_additional_args": f"--redis-password={TOKEN}"},
        fallback=[{"locations": [TOKEN]}],
        tags={"password": "swordfish"},
        subnet=f"x {TOKEN}",
    )

    for shown in (repr(given), str(given), repr(given.services), repr(given.distribution), f"{given!r}"):
        assert TOKEN not in shown
        assert "4711" not in shown
        assert "swordfish" not in shown
    assert "'EPOCHS': '3'" in repr(given)
    assert "--ipc=host" in repr(given)
    with pytest.raises(AzureMLSettingsError) as raised:
        settings(tier=TOKEN, environment_variables={"A": ["swordfish"]})
    assert raised.value.__cause__ is None
    assert TOKEN not in str(raised.value)


def test_a_variable_of_docker_counts_after_all_others_of_the_job() -> None:
    options = resolve(settings(docker_args="-e A=docker -e B=docker", environment_variables={"A": "own"})).options

    assert (options.docker_variables, options.environment_variables) == ({"A": "docker", "B": "docker"}, {"A": "own"})
    assert replace(options, docker_variables={}).docker_args is None


@pytest.mark.parametrize(
    "given",
    [
        {"services": {"{{db.user}}": {"type": "ssh"}}},
        {"environment_variables": {"{{db.user}}": "1"}},
        {"tags": {"{{db.user}}": "1"}},
        {"docker_args": "-e {{db.user}}=1"},
    ],
)
def test_a_name_cannot_be_a_secret(given: dict[str, Any]) -> None:
    with pytest.raises(AzureMLSettingsError, match=r"A name in `.*` is a secret"):
        exposed_settings(settings(**given))
