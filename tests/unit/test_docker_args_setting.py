"""The setting `docker_args`: every form that carries a value is taken apart as Docker does it."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zenml_azureml import AzureMLStepOperatorSettings
from zenml_azureml.exceptions import AzureMLSettingsError
from zenml_azureml.secrets.docker_arguments import parse, without_variables
from zenml_azureml.secrets.redaction import REDACTED, redacted_docker_args
from zenml_azureml.settings.plan import resolve

#: All ways to set a variable, with what is left of them.
FORMS = [
    ("-e {}", ""),
    ("-e{}", ""),
    ("-e={}", ""),
    ("-ie {}", "-i"),
    ("-ite{}", "-it"),
    ("-ditqPe {}", "-ditqP"),
    ("--env {}", ""),
    ("--env={}", ""),
]


@pytest.mark.parametrize(("form", "left"), FORMS)
@pytest.mark.parametrize("value", ["v", "two words", "a=b", "'quoted'", "-x", "http://h/?a=b"])
def test_a_variable_in_any_form_joins_the_environment(form: str, left: str, value: str) -> None:
    line = f"--ipc=host {form.format(shlex.quote(f'A={value}'))} --gpus all"

    rest, variables = without_variables(line)

    assert variables == {"A": value}
    assert shlex.split(rest) == ["--ipc=host", *([left] if left else []), "--gpus", "all"]


@given(
    st.lists(
        st.tuples(
            st.sampled_from([form for form, _ in FORMS]),
            st.from_regex(r"[A-Z_][A-Z0-9_]{0,5}", fullmatch=True),
            st.text(min_size=1, max_size=20).filter(lambda text: "\x00" not in text),
        ),
        max_size=5,
    )
)
def test_the_last_variable_of_a_name_counts_and_none_is_left(parts: list[tuple[str, str, str]]) -> None:
    line = " ".join(form.format(shlex.quote(f"{name}={value}")) for form, name, value in parts)

    rest, variables = without_variables(line)

    assert variables == {name: value for _, name, value in parts}
    assert "=" not in rest


def test_all_other_arguments_stay_as_they_are() -> None:
    line = "--ipc=host -v '/a b:/c' -p 80:80 -m 4g --rm -e FROM_THE_MACHINE --label team=ml -u 1000:1000"

    assert without_variables(line) == (line, {})


def test_values_of_short_options_are_not_taken_for_options() -> None:
    found = parse("-v -e -w /e=A -h e -le=A=b -ce")

    assert [(argument.option, argument.value) for argument in found] == [
        ("volume", "-e"),
        ("workdir", "/e=A"),
        ("hostname", "e"),
        ("label", "e=A=b"),
        ("cpu-shares", "e"),
    ]


def test_a_list_is_one_word_each() -> None:
    options = resolve(AzureMLStepOperatorSettings(docker_args=["-e", "A=two words", "--ipc=host"])).options

    assert (options.docker_args, options.docker_variables) == ("--ipc=host", {"A": "two words"})


def test_what_no_shell_can_read_is_an_error_that_names_the_setting() -> None:
    with pytest.raises(AzureMLSettingsError, match="`docker_args` is not a valid command line: no closing quot"):
        resolve(AzureMLStepOperatorSettings(docker_args="-e 'A=b"))


@pytest.mark.parametrize(
    "form",
    [
        *(form for form, _ in FORMS),
        *(
            "--label {}",
            "--label={}",
            "-l {}",
            "-l{}",
            "-itl {}",
            "--build-arg {}",
            "--build-arg={}",
            "--annotation {}",
        ),
        *("--secret {}", "--log-opt {}", "--unknown-token {}", "--unknown-token={}"),
    ],
)
@pytest.mark.parametrize("value", ["x7Qk2mP4vT8zB6", "sk-proj-a7Q9xk2mP4vT8zB6a7Q9xk2mP4vT8zB6"])
def test_no_value_of_them_is_shown(form: str, value: str) -> None:
    shown = redacted_docker_args(f"--ipc=host {form.format(f'A={value}')} --cap-add SYS_PTRACE")

    assert value not in shown
    assert REDACTED in shown
    assert shown.startswith("--ipc=host ")
    assert shown.endswith(" --cap-add SYS_PTRACE")
