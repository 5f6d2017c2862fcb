"""What may be a secret is not shown, wherever it stands."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zenml_azureml.secrets.redaction import (
    REDACTED,
    map_texts,
    redacted_docker_args,
    redacted_text,
    redacted_variables,
    shown,
    without,
)

NAMES = st.from_regex(r"[A-Z][A-Z_]{0,20}", fullmatch=True)
#: As tokens, keys and passwords look that a program has made.
MADE_BY_PROGRAMS = st.text(string.ascii_letters + string.digits + "+/=_-", min_size=16, max_size=80).filter(
    lambda text: any(c.isdigit() for c in text) and any(c.isalpha() for c in text) and not text.startswith("/")
)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OMP_NUM_THREADS", "4"),
        ("LEARNING_RATE", "0.001"),
        ("LOG_LEVEL", "debug"),
        ("DEBUG", "True"),
        ("HF_HOME", "/mnt/cache/hf-home"),
        ("CACHE", "./cache"),
        ("MLFLOW_TRACKING_URI", "https://mlflow.example.org:5000/api"),
        ("ZENML_STORE_URL", "sqlite:////home/ada/zenml.db"),
        ("ZENML_ACTIVE_STACK_ID", "12345678-1234-1234-1234-123456789abc"),
        ("VERSION", "0.98.0"),
        ("EMPTY_TOKEN", ""),
        ("VERIFY_CERT", "False"),
    ],
)
def test_what_is_harmless_is_shown(name: str, value: str) -> None:
    assert shown(name, value) == value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HF_TOKEN", "word"),
        ("DB_PASSWORD", "1234"),
        ("API_KEY", "abc"),
        ("SSH_KEY", "/root/.ssh/id"),
        ("AZURE_STORAGE_CONNECTION_STRING", "x"),
        ("STORAGE_SAS", "x"),
        ("HF", "hf_AbCdEf123456"),
        ("DATABASE", "postgresql://ada:hunter2@db/train"),
        ("URL", "https://blob.example.org/a?sig=abc"),
        ("URL", "https://ada:hunter2@example.org/"),
        ("REFERENCE", "{{secret.key}}"),
        ("SOMETHING_ID", "12345678-1234-1234-1234-123456789abc"),
        ("LINES", "one\ntwo"),
    ],
)
def test_what_may_be_a_secret_is_not(name: str, value: str) -> None:
    assert shown(name, value) == REDACTED


@given(NAMES, MADE_BY_PROGRAMS)
def test_what_a_program_has_made_is_never_shown(name: str, value: str) -> None:
    assert redacted_variables({name: value}) == {name: REDACTED}


@given(MADE_BY_PROGRAMS, st.text(max_size=20), st.text(max_size=20))
def test_a_secret_is_not_shown_where_a_command_repeats_it(secret: str, before: str, after: str) -> None:
    told = without(f"{before}{secret}{after}", {"ANY": secret})

    assert secret not in told


@given(MADE_BY_PROGRAMS)
def test_arguments_of_docker_do_not_tell_them_either(secret: str) -> None:
    for arguments in (f"-e A={secret}", f"--env A={secret}", f"--env=A={secret}", f"-eA={secret}"):
        assert secret not in redacted_docker_args(f"--ipc=host {arguments} --cap-add SYS_PTRACE")


def test_what_else_is_in_the_arguments_of_docker_stays() -> None:
    assert redacted_docker_args("--ipc=host -e DEBUG=1 --env TOKEN=x -v '/a b:/c'") == (
        "--ipc=host -e DEBUG=1 --env TOKEN=REDACTED -v '/a b:/c'"
    )
    assert redacted_docker_args("--env 'unfinished") == REDACTED


def test_names_that_are_secrets_are_not_shown() -> None:
    secret = "ghp_" + "a7Q9xk2mP4vT8zB6cD1eF3gH5jK7mN9xYz12"

    texts = [
        redacted_docker_args(f"-e {secret}=1"),
        str(redacted_variables({secret: "1"})),
        str(map_texts({"tags": {secret: "1"}}, lambda _, text: text, change_name=redacted_text)),
    ]

    assert [secret in text for text in texts] == [False] * 3
    assert [REDACTED in text for text in texts] == [True] * 3
