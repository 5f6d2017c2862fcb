"""`zenml-azureml emulator scenario`: injects failures into jobs."""

from __future__ import annotations

import json
from pathlib import Path

import click

from zenml_azureml.cli.emulator_client import ask, running_in, state_option
from zenml_azureml.cli.output import echo
from zenml_azureml.cli.tables import show_rows


@click.command(short_help="Inject failures into jobs.")
@state_option
@click.argument("name", required=False)
@click.option(
    "--jobs",
    default="",
    metavar="REGEX",
    help="Only jobs whose name, display name, experiment or a tag KEY=VALUE matches.  [default: any job]",
)
@click.option("--times", type=click.IntRange(1), default=1, show_default=True, metavar="N", help="Number of jobs.")
@click.option(
    "--after",
    type=click.FloatRange(0),
    default=0.0,
    metavar="SECONDS",
    show_default=True,
    help="Run time of the command before the failure, if the scenario affects running jobs.",
)
@click.option("--now", is_flag=True, help="Inject the failure into running jobs at once.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def scenario(*, state: Path, name: str | None, jobs: str, times: int, after: float, now: bool, as_json: bool) -> None:
    """Inject the failure scenario NAME into the next jobs; without NAME, list the scenarios."""
    running = running_in(state)
    if name is None:
        scenarios = ask(running, "/_emulator/scenarios")
        if as_json:
            echo(json.dumps(scenarios, indent=2))
        else:
            show_rows(("Scenario", "What happens"), [(known["name"], known["summary"]) for known in scenarios])
        return
    armed = ask(
        running, "/_emulator/scenario", {"name": name, "jobs": jobs, "times": times, "after": after, "now": now}
    )
    if as_json:
        echo(json.dumps(armed, indent=2))
        return
    if now:
        echo(f"{armed['fired']} running {'job' if armed['fired'] == 1 else 'jobs'}: {name}.")
        return
    which = "The next job" if times == 1 else f"The next {times} jobs"
    echo(f"{which}{f' of `{jobs}`' if jobs else ''}: {name}.")
