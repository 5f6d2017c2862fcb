"""The emulator's page in a browser: jobs, logs, pipelines, computes, requests and faults, live, at two widths."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

ROOT = Path(__file__).parents[2]
COMMAND = ROOT / ".venv" / "bin" / "zenml-azureml"

#: What a user's script does; SDK and emulator are in the project's own environment.
SUBMIT = """
import json, os, sys
from azure.ai.ml import MLClient, command
from azure.ai.ml.entities import Environment
from azure.identity import DefaultAzureCredential

names = ("AZUREML_ARM_SUBSCRIPTION", "AZUREML_ARM_RESOURCEGROUP", "AZUREML_ARM_WORKSPACE_NAME")
client = MLClient(DefaultAzureCredential(), *(os.environ[name] for name in names), enable_telemetry=False)
line, display_name = sys.argv[1:]
job = command(
    name=display_name.replace(" ", "-"),
    display_name=display_name,
    command=line,
    environment=Environment(image="python:3.12"),
    inputs={"rate": 0.1},
)
print(client.jobs.create_or_update(job).services["Studio"].endpoint)
"""


class Running:
    """An emulator as a user starts it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "state"
        (folder / "submit.py").write_text(SUBMIT)
        self.run(str(COMMAND), "emulator", "start", "--state", str(self.state), "--port", "0")

    def run(self, *words: str) -> str:
        environment = {"PATH": f"{COMMAND.parent}:/usr/bin:/bin", "HOME": str(self.folder)}
        done = subprocess.run(words, env=environment, cwd=self.folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def link(self) -> str:
        return self.run(str(COMMAND), "emulator", "open", "--print", "--state", str(self.state))

    def shell(self, line: str, *arguments: str) -> str:
        script = f'eval "$(zenml-azureml emulator env --state {self.state})"; {line}'
        return self.run("bash", "-c", script, "bash", *arguments)

    def submit(self, line: str, display_name: str) -> str:
        return self.shell('python submit.py "$@"', line, display_name).splitlines()[-1]

    def post(self, path: str, body: dict[str, Any]) -> None:
        address = f'"$AZUREML_DEV_URL_MFE{path}"'
        self.shell(f'curl -sS --fail --config "$ZENML_AZUREML_EMULATOR_CURL" {address} -d "$1"', json.dumps(body))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    if not COMMAND.exists():
        pytest.skip("the project's own environment is missing: make setup")
    emulator = Running(tmp_path_factory.mktemp("emulator"))
    yield emulator
    emulator.run(str(COMMAND), "emulator", "stop", "--state", str(emulator.state))


@pytest.fixture(params=[1280, 400])
def page(request: pytest.FixtureRequest, browser: Browser, running: Running) -> Iterator[Page]:
    """A tab of a browser that was let in, and that reports every error and every request to elsewhere."""
    context = browser.new_context(viewport={"width": request.param, "height": 900}, ignore_https_errors=True)
    page, errors = context.new_page(), []
    address = running.link()
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    base = address.partition("/?")[0]
    page.on("request", lambda sent: None if sent.url.startswith((base, "data:")) else errors.append(sent.url))
    page.goto(address)
    expect(page.get_by_role("status")).to_contain_text("Live")
    yield page
    context.close()
    assert errors == []


def fits(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"))


def look(page: Page, name: str) -> None:
    """Keep a picture for human eyes, if `PICTURES` names a folder."""
    if folder := os.environ.get("PICTURES"):
        width = (page.viewport_size or {"width": 0})["width"]
        page.screenshot(path=Path(folder) / f"{name}-{width}.png", full_page=True)


def test_a_job_is_followed_while_it_runs(running: Running, page: Page) -> None:
    width = (page.viewport_size or {"width": 0})["width"]
    name = f"follow {width}"
    assert "/?key=" not in page.url
    running.submit("for i in $(seq 90); do echo epoch $i of 90 at rate ${{inputs.rate}}; sleep 1; done", name)

    page.get_by_role("link", name=name).click()  # it appears without a reload

    expect(page.get_by_role("heading", name=name)).to_contain_text("Running", timeout=20_000)
    log = page.locator("pre.log")
    expect(log).to_contain_text("epoch 1 of 90 at rate 0.1", timeout=20_000)
    seen = int(re.findall(r"epoch (\d+)", log.inner_text())[-1])
    expect(log).to_contain_text(f"epoch {seen + 2} of 90", timeout=20_000)
    expect(page.get_by_role("cell", name="rate", exact=True)).to_be_visible()
    assert fits(page)
    look(page, "job")


def test_a_log_is_shown_once_however_many_views_are_made_at_once(running: Running, page: Page) -> None:
    width = (page.viewport_size or {"width": 0})["width"]
    name = f"once {width}"
    running.submit("echo shown once", name)
    expect(page.get_by_role("row", name=name)).to_contain_text("Completed", timeout=20_000)
    link = page.get_by_role("link", name=name).get_attribute("href")

    page.evaluate(
        """link => {
            location.hash = link;
            for (let view = 0; view < 5; view++) dispatchEvent(new HashChangeEvent("hashchange"));
        }""",
        link,
    )

    expect(page.locator("pre.log")).to_have_text("shown once")


def test_the_link_to_studio_opens_the_job_with_its_error(running: Running, page: Page) -> None:
    width = (page.viewport_size or {"width": 0})["width"]
    studio = running.submit("echo '<b>not bold</b> &amp;'; exit 3", f"failing {width}")

    page.goto(studio)

    expect(page.get_by_role("heading", name=f"failing {width}")).to_contain_text("Failed", timeout=20_000)
    expect(page.locator(".error")).to_contain_text("exited with status code 3")
    expect(page.locator("pre.log")).to_contain_text("<b>not bold</b> &amp;")
    assert fits(page)
    look(page, "failed")


def test_the_other_views_show_computes_requests_and_faults(running: Running, page: Page) -> None:
    running.post("/_emulator/faults", {"path": "/nowhere", "status": 503, "times": 7})
    running.post("/_emulator/scenario", {"name": "preempted", "jobs": "never-matches"})
    views = {
        "Faults": ["status: 503", "0 of 7", "preempted", "never-matches"],
        "Computes": ["There is no compute"],
        "Requests": ["PUT", "jobs/"],
        "Jobs": ["Created"],
    }
    for name, words in views.items():
        page.get_by_role("navigation").get_by_role("link", name=name).click()
        for word in words:
            expect(page.locator("main")).to_contain_text(word)
        expect(page.get_by_role("link", name=name, exact=True).first).to_have_attribute("aria-current", "page")
        assert fits(page)
        look(page, name.lower())


def test_it_says_when_the_emulator_is_gone(tmp_path: Path, browser: Browser) -> None:
    short_lived = Running(tmp_path)
    context = browser.new_context(ignore_https_errors=True)
    page = context.new_page()
    page.goto(short_lived.link())
    expect(page.get_by_role("status")).to_contain_text("Live")

    short_lived.run(str(COMMAND), "emulator", "stop", "--state", str(short_lived.state))

    expect(page.get_by_role("status")).to_have_text("The emulator does not answer.", timeout=20_000)
    context.close()
