"""`zenml-azureml emulator scenario`: let jobs fail on purpose."""

from __future__ import annotations

from pathlib import Path

import click

from zenml_azureml.cli.running import ask, running_in, state_option


@click.command()
@state_option
@click.argument("name", required=False)
@click.option(
    "--jobs",
    default="",
    metavar="REGEX",
    help="Found in the job's name, display name, experiment, or a tag as KEY=VALUE.  [default: any job]",
)
@click.option("--times", type=click.IntRange(1), default=1, show_default=True, help="How many jobs it happens to.")
@click.option(
    "--after",
    type=click.FloatRange(0),
    default=0.0,
    metavar="SECONDS",
    show_default=True,
    help="How long the command has run then, if it happens to a running job.",
)
def scenario(*, state: Path, name: str | None, jobs: str, times: int, after: float) -> None:
    """Let the scenario NAME happen to the next jobs; without NAME, show what can happen."""
    running = running_in(state)
    if name is None:
        for known in ask(running, "/_emulator/scenarios"):
            click.echo(f"{known['name']:<20} {known['summary']}")
        return
    ask(running, "/_emulator/scenario", {"name": name, "jobs": jobs, "times": times, "after": after})
    which = "The next job" if times == 1 else f"The next {times} jobs"
    click.echo(f"{which}{f' of `{jobs}`' if jobs else ''}: {name}.")
