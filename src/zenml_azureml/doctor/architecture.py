"""Whether images are built for the machines that Azure ML has."""

from __future__ import annotations

from dataclasses import dataclass

from zenml_azureml.doctor.finding import Finding, Problem, failed, ok, unknown, warning

CHECK = "image architecture"

#: Azure ML's machines. Source: Azure ML offers no VM size with an Arm processor.
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
    """

    name: str
    builds_here: bool
    architecture: str = ""
    no_engine: str = ""
    platform: str = ""


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
    architecture = facts.platform.partition("/")[2] or facts.architecture
    if architecture not in _WANTED and not jobs_run_here:
        return failed(
            CHECK,
            f"`{facts.name}` builds images for {architecture}, and Azure ML's machines are amd64: jobs would end with "
            "`exec format error`.",
            "Have them built for amd64, in the pipeline's settings: "
            f'DockerSettings(build_config={{"build_options": {{"platform": "{_PLATFORM}"}}}}).',
        )
    return ok(CHECK, f"`{facts.name}` builds for {architecture}")
