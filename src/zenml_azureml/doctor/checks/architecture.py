"""Whether images are built for the machines that Azure ML has."""

from __future__ import annotations

from dataclasses import dataclass

from zenml_azureml.doctor.result import Finding, Problem, failed, ok, unknown, warning

CHECK = "image architecture"

#: Azure ML's machines. Guess: Microsoft names no Arm size for Azure ML, and says nowhere that there is none.
_WANTED = frozenset({"amd64", "x86_64"})
_PLATFORM = "linux/amd64"


@dataclass(frozen=True)
class ImageBuilder:
    """The image builder of the stack.

    Attributes:
        name: Name of the component.
        builds_here: Whether it builds with this machine's container engine.
        architecture: That engine's, e.g. `arm64`; empty if there is none that answers.
        no_engine: Why there is none; empty if there is.
        platform: The platform that DOCKER_DEFAULT_PLATFORM asks for, where the builder heeds it; empty for none.
        latest_run_platform: The platform that the latest run on the stack asked for in its `DockerSettings`, which goes
            before all else; empty for none.
    """

    name: str
    builds_here: bool
    architecture: str = ""
    no_engine: str = ""
    platform: str = ""
    latest_run_platform: str = ""


def check_architecture(facts: ImageBuilder | Problem | None, *, jobs_run_here: bool) -> Finding:
    """Whether they are.

    Args:
        facts: The image builder; None if the stack has none.
        jobs_run_here: Whether the workspace is emulated on this machine.
    """
    if isinstance(facts, Problem):
        return unknown(CHECK, facts)
    if facts is None:
        return failed(
            CHECK,
            "The stack has no image builder, and each step runs in an image.",
            "Add one: `zenml image-builder register NAME --flavor=local`, then `zenml stack update -i NAME`.",
        )
    if not facts.builds_here:
        return ok(CHECK, f"`{facts.name}` builds elsewhere, for {_PLATFORM} unless it is told otherwise")
    if facts.no_engine:
        return warning(
            CHECK,
            f"`{facts.name}` builds images on this machine, where no container engine answers: {facts.no_engine}",
            "Start Docker. Pipelines whose images exist already (`skip_build`) need none.",
        )
    asked_for = facts.latest_run_platform or facts.platform
    architecture = _architecture_of(asked_for) or facts.architecture
    by_whom = ", as the latest run on the stack asked for in its `DockerSettings`" if facts.latest_run_platform else ""
    if architecture not in _WANTED and not jobs_run_here:
        return failed(
            CHECK,
            f"`{facts.name}` builds images for {architecture}{by_whom}, and Azure ML's machines are amd64: jobs would "
            "end with `exec format error`.",
            "Have them built for amd64, in the pipeline's settings: "
            f'DockerSettings(build_config={{"build_options": {{"platform": "{_PLATFORM}"}}}}).',
        )
    unless = by_whom or "; a pipeline's `DockerSettings` may ask for something else"
    return ok(CHECK, f"`{facts.name}` builds for {architecture}{unless}")


def _architecture_of(platform: str) -> str:
    """`amd64` of `linux/amd64`, `arm64` of `linux/arm64/v8`."""
    return platform.partition("/")[2].partition("/")[0] or platform
