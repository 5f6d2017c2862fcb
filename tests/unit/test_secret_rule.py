"""The one rule for what may be a secret: names, shapes, addresses, and what is surely harmless."""

from __future__ import annotations

import base64
import secrets
import string
import uuid
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zenml_azureml.secrets.addresses import secrets_in_addresses
from zenml_azureml.secrets.redaction import REDACTED, redacted_text, redacted_variables
from zenml_azureml.secrets.rule import Verdict, is_certain, judge

LETTERS = string.ascii_letters + string.digits


def made_up(length: int, alphabet: str = LETTERS) -> str:
    """A text as a program makes it up; with a digit and letters of both cases, as nearly all are."""
    return "a7Q" + "".join(secrets.choice(alphabet) for _ in range(length - 3))


HEX = "0123456789abcdef"

#: Tokens as services make them, each from scratch: none is in the source, where scanners would report it.
TOKENS: dict[str, Callable[[], str]] = {
    "GitHub": lambda: "ghp_" + made_up(36),
    "GitHub, fine-grained": lambda: "github_pat_" + made_up(22) + "_" + made_up(59),
    "GitLab": lambda: "glpat-" + made_up(20),
    "npm": lambda: "npm_" + made_up(36),
    "PyPI": lambda: "pypi-AgEIcHlwaS5vcmc" + made_up(80),
    "Docker Hub": lambda: "dckr_pat_" + made_up(27),
    "Slack": lambda: "xoxb-" + made_up(12, string.digits) + "-" + made_up(24),
    "AWS": lambda: "AKIA" + "".join(secrets.choice(string.ascii_uppercase) for _ in range(16)),
    "Google": lambda: "AIza" + made_up(35),
    "Azure, a client's secret": lambda: made_up(3) + "8Q~" + made_up(34),
    "Azure, an account's key": lambda: base64.b64encode(secrets.token_bytes(64)).decode(),
    "Azure, a connection string": lambda: f"DefaultEndpointsProtocol=https;AccountName=a;AccountKey={made_up(40)};",
    "Azure, a service bus": lambda: f"Endpoint=sb://a.example/;SharedAccessKeyName=root;SharedAccessKey={made_up(40)}",
    "Databricks": lambda: "dapi" + "".join(secrets.choice(HEX) for _ in range(32)),
    "OpenAI": lambda: "sk-proj-" + made_up(48),
    "Anthropic": lambda: "sk-ant-api03-" + made_up(90),
    "Hugging Face": lambda: "hf_" + made_up(34),
    "NVIDIA": lambda: "nvapi-" + made_up(60),
    "Stripe": lambda: "sk_live_" + made_up(24),
    "SendGrid": lambda: f"SG.{made_up(22)}.{made_up(43)}",
    "Vault": lambda: "hvs." + made_up(90),
    "Telegram": lambda: "123456789:" + made_up(35),
    "ZenML": lambda: "ZENKEY_" + made_up(60),
    "JWT": lambda: f"eyJhbGciOiJIUzI1NiJ9.eyJ{made_up(30)}.{made_up(43)}",
    "PEM": lambda: f"-----BEGIN RSA PRIVATE KEY-----\n{made_up(64)}\n-----END RSA PRIVATE KEY-----",
    "OpenSSH": lambda: f"-----BEGIN OPENSSH PRIVATE KEY-----\n{made_up(64)}",
    "a header": lambda: f"Authorization: Bearer {made_up(30)}",
    "JSON": lambda: f'{{"client_secret": "{made_up(12)}"}}',
}
#: Addresses that are all that it takes.
ADDRESSES: dict[str, Callable[[], str]] = {
    "Slack": lambda: f"https://hooks.slack.com/services/T{made_up(8)}/B{made_up(8)}/{made_up(24)}",
    "Discord": lambda: f"https://discord.com/api/webhooks/123456789012345678/{made_up(68)}",
    "Teams": lambda: f"https://acme.webhook.office.com/webhookb2/{uuid.uuid4()}/IncomingWebhook/{made_up(32)}",
    "Logic Apps": lambda: (
        f"https://prod-1.westus.logic.azure.com:443/workflows/{made_up(32)}/triggers/manual/paths/invoke"
    ),
    "Mattermost": lambda: f"https://chat.example.org/hooks/{made_up(26)}",
    "Zapier": lambda: f"https://hooks.zapier.com/hooks/catch/123456/{made_up(7)}/",
    "Telegram": lambda: f"https://api.telegram.org/bot123456789:{made_up(35)}/sendMessage",
    "a database": lambda: f"postgresql://ada:{made_up(8)}@db.example.org:5432/train",
    "a proxy": lambda: f"http://ada:{made_up(8)}@proxy.example.org:3128",
    "a repository": lambda: f"https://{made_up(30)}@git.example.org/a/b.git",
    "Sentry": lambda: f"https://{uuid.uuid4().hex}@o1.ingest.sentry.io/4505",
    "a SAS": lambda: f"https://a.blob.core.windows.net/c/b?sv=2022-11-02&sp=r&sig={made_up(43)}%3D",
    "a signed address": lambda: f"https://b.s3.amazonaws.com/k?X-Amz-Signature={made_up(64)}",
    "a key in the query": lambda: f"https://api.example.org/v1?api_key={made_up(12)}",
}


@pytest.mark.parametrize("kind", TOKENS)
def test_tokens_of_known_services_are_secrets_whatever_their_name_and_wherever_they_stand(kind: str) -> None:
    for _ in range(20):
        token = TOKENS[kind]()

        assert judge("ANYTHING", token) is Verdict.SECRET, token
        assert is_certain(f"train.py {token}"), token
        shown = redacted_text(f"before {token} after")
        assert REDACTED in shown
        assert token not in shown


@pytest.mark.parametrize("kind", ADDRESSES)
def test_addresses_with_a_credential_are_secrets(kind: str) -> None:
    for _ in range(20):
        address = ADDRESSES[kind]()

        assert judge("NOTIFY", address) is Verdict.SECRET, address
        assert address not in redacted_text(f"posting to {address} now")


@pytest.mark.parametrize(
    "name",
    [
        *("DB_PASS", "SMTP_PASS", "SSH_PASSPHRASE", "CARD_PIN", "MYSQL_PWD", "PGPASSWORD", "DBPASS", "KEY", "API_KEY"),
        *("apiKey", "api-key", "API_KEY_2", "OPENAI_KEYS", "accessToken", "X_TOKEN", "CREDENTIAL", "AWS_CREDENTIALS"),
        *("DB_CONNECTION_STRING", "CONN_STR", "SENTRY_DSN", "BLOB_SAS", "BASIC_AUTH", "AUTHORIZATION", "COOKIE"),
        *("SESSION_COOKIE", "SLACK_WEBHOOK", "WEBHOOK_URL", "TEAMS_HOOK", "TLS_CERT", "PFX", "GH_PAT", "JWT", "TOTP"),
        *("PASSWORD_SALT", "SIGNATURE", "HMAC", "CLIENT_SECRET", "USERPWD", "ACCOUNTKEY", "NEW_PASSWORD", "KUBECONFIG"),
        *("ZENML_STORE_API_TOKEN", "ZENML_STORE_PASSWORD", "AZUREML_RUN_TOKEN", "ZENML_SECRETS_STORE_ENCRYPTION_KEY"),
    ],
)
def test_names_that_say_so_make_any_value_a_secret(name: str) -> None:
    assert judge(name, "word") is Verdict.SECRET
    assert judge(name, "4711") is Verdict.SECRET
    assert judge(name, "") is Verdict.HARMLESS


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PATH", "/opt/conda/bin:/usr/local/bin:/usr/bin:$PATH"),
        ("PYTHONPATH", "src:lib/python3.11"),
        ("LD_LIBRARY_PATH", "/usr/lib/x86_64-linux-gnu"),
        ("PWD", "/app"),
        ("REQUESTS_CA_BUNDLE", "/etc/ssl/certs/ca-certificates.crt"),
        ("AZURE_CLIENT_ID", "0b2f0f8e-5a3e-4a52-9e0e-3b1c1b8f9a11"),
        ("AZURE_TENANT_ID", "0b2f0f8e-5a3e-4a52-9e0e-3b1c1b8f9a11"),
        ("ZENML_ACTIVE_STACK_ID", "0b2f0f8e-5a3e-4a52-9e0e-3b1c1b8f9a11"),
        ("ZENML_LOGGING_VERBOSITY", "DEBUG"),
        ("ZENML_LOGGING_FORMAT", "%(asctime)s %(message)s"),
        ("ZENML_SECRETS_STORE_TYPE", "sql"),
        ("AZUREML_ARM_SUBSCRIPTION", "0b2f0f8e-5a3e-4a52-9e0e-3b1c1b8f9a11"),
        ("NCCL_DEBUG", "INFO"),
        ("CUDA_VISIBLE_DEVICES", "0,1,2,3"),
        ("TOKENIZERS_PARALLELISM", "false"),
        ("MAX_TOKENS", "512"),
        ("LANG", "en_US.UTF-8"),
        ("BATCH_SIZE", "64"),
        ("MEMORY", "16GB"),
        ("LEARNING_RATE", "1e-4"),
        ("LOG_LEVEL", "debug"),
        ("KEY_VAULT_URL", "https://team.vault.azure.net"),
        ("MLFLOW_TRACKING_URI", "https://mlflow.example.org:5000/api"),
        ("DATASET", "/mnt/data/train.csv"),
    ],
)
def test_what_is_surely_harmless_is_not_kept_from_anybody(name: str, value: str) -> None:
    assert judge(name, value) is Verdict.HARMLESS
    assert redacted_text(f"{name}={value}") == f"{name}={value}"


@pytest.mark.parametrize("name", ["PATH", "PYTHONPATH", "ZENML_LOGGING_FORMAT", "AZUREML_THING", "HOME", "NCCL_DEBUG"])
@pytest.mark.parametrize("kind", [*TOKENS, *ADDRESSES])
def test_no_name_makes_what_has_the_shape_of_a_secret_harmless(name: str, kind: str) -> None:
    made = {**TOKENS, **ADDRESSES}[kind]()

    assert judge(name, made) is Verdict.SECRET


@pytest.mark.parametrize(
    "value",
    [
        "/srv/a7Q9xk2mP4vT8z/in",
        "https://files.example.org/a7Q9xk2mP4vT8zB6/data.csv",
        "https://hc.example.org/0b2f0f8e-5a3e-4a52-9e0e-3b1c1b8f9a11",
        "abcd efgh ijkl mnop",
        "3f6c9d5a0b123f6c9d5a0b123f6c9d5a0b123f6c",
        '{"a": 1}',
        "{{secret.key}}",
    ],
)
def test_what_looks_made_up_or_cannot_be_judged_is_not_harmless(value: str) -> None:
    assert judge("ANYTHING", value) is Verdict.DOUBTFUL


@pytest.mark.parametrize(
    "text",
    [
        "python train.py --max_tokens=512 --pad-token eos --tokenizer bert-base-uncased --key-vault team",
        "python -m zenml.entrypoints.entrypoint --run_id 0b2f0f8e-5a3e-4a52-9e0e-3b1c1b8f9a11 --step_name get_token",
        "echo $DB_PASSWORD ${TOKEN} --password=$DB_PASSWORD --token-file /run/token",
        "Trains on https://github.com/acme/train/tree/3f6c9d5a0b12, the tokens: words and subwords.",
        "git@github.com:acme/train.git ssh://git@github.com/acme/train",
        "example.azurecr.io/train@sha256:" + "3f6c9d5a0b12" * 5,
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ7Q9xk2mP4vT8zB6a7Q9xk2mP4vT8zB6a7Q9xk2mP4v me@example.org",
    ],
)
def test_what_people_write_into_commands_and_descriptions_is_no_certain_secret(text: str) -> None:
    assert redacted_text(text) == text


@given(st.from_regex(r"[A-Z][A-Z_]{0,10}", fullmatch=True))
def test_tokens_that_python_makes_are_shown_under_no_name(name: str) -> None:
    for value in (secrets.token_urlsafe(24), secrets.token_hex(16), base64.b64encode(secrets.token_bytes(24)).decode()):
        assert redacted_variables({name: value}) == {name: REDACTED}


@given(st.text(max_size=200))
def test_redaction_takes_any_text_and_changes_nothing_the_second_time(text: str) -> None:
    once = redacted_text(text)

    assert redacted_text(once) == once


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("https://a.example/x?code=a1b2c3", ["a1b2c3"]),  # the shortest that counts
        ("https://a.example/x?code=a1b2c", []),
        ("https://a.example/x?CODE=a1b2c3&page=a1b2c3#k=d4e5f6", ["a1b2c3", "d4e5f6"]),
        ("https://a.example/x?sig=a1", ["a1"]),  # a name that means a secret, however short its value
        ("https://a.example/x?code=123456&t=abcde", []),
        ("https://a.example/x?code=1234567", ["1234567"]),
        ("https://a.example/x?sig=REDACTED&code=$CODE_OF_IT", []),
        ("https://$TOKEN@a.example/x", []),
        ("https://7ada:swordfish@a.example/x", ["swordfish"]),
        ("https://a7Q9xk2mP4vT8zB6:swordfish@a.example/x", ["swordfish", "a7Q9xk2mP4vT8zB6"]),
        ("https://a.example/hooks/a1b2c3d4", ["hooks/a1b2c3d4"]),
        ("https://a.example/hooks/a1b2c3d", []),
        ("https://a.example/hooks/documentation", []),
        ("https://a.example/hooks/ofTheTeam", ["hooks/ofTheTeam"]),
        ("https://a.example/hooks/about/0b2f0f8e-5a3e-4a52-9e0e-3b1c1b8f9a11", "whole path"),
        ("https://a.example/a1b2c3d4/hooks", []),
        ("https://a.example/bot123:abc/me", "whole path"),
        ("https://hooks.slack.com/services/x", "whole path"),
        ("https://ada@HOOKS.slack.com:443/services/x", "whole path"),
        ("https://hooks.slack.com/", []),
        ("https://a.webhook.office.com/x", "whole path"),
        ("https://a.hooks.slack.com/x", []),
        ("ftp://hooks.slack.com/services/x", []),
    ],
)
def test_the_secret_part_of_an_address(address: str, found: list[str] | str) -> None:
    path = address.partition("://")[2].partition("/")[2]

    assert [address[begin:end] for begin, end in secrets_in_addresses(address)] == (
        [path] if found == "whole path" else found
    )
