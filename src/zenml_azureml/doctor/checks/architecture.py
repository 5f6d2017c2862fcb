"""Check that images are built for the architecture of Azure ML's machines."""

from __future__ import annotations

from dataclasses import dataclass

from zenml_azureml.doctor.result import Finding, Problem, failed, ok, unknown, warning

CHECK = "image architecture"

#: Architectures of Azure ML. Guess: Microsoft documents no Arm size for Azure ML, and does not rule one out.
_WANTED = frozenset({"amd64", "x86_64"})
_PLATFORM = "linux/amd64"


@dataclass(frozen=True)
class ImageBuilder:
    """The image builder of the stack.

    Attributes:
        name: Name of the component.
        builds_here: True if it builds with this machine's container engine.
        architecture: Architecture of that engine, e.g. `arm64`; empty if no engine answers.
        no_engine: Reason why no engine answers; empty if one does.
        platform: Platform in DOCKER_DEFAULT_PLATFORM, if the builder uses that variable; empty for none.
        latest_run_platform: Platform in the `DockerSettings` of the latest run on the stack, which takes precedence;
            empty for none.
    """

    name: str
    builds_here: bool
    architecture: str = ""
    no_engine: str = ""
    platform: str = ""
    latest_run_platform: str = ""


def check_architecture(facts: ImageBuilder | Problem | None, *, jobs_run_here: bool) -> Finding:
    """Check that images are built for a suitable architecture.

    Args:
        facts: The image builder; None if the stack has none.
        jobs_run_here: True if the workspace is emulated on this machine.
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
        return ok(CHECK, f"`{facts.name}` builds elsewhere, for {_PLATFORM} unless it is configured otherwise")
    if facts.no_engine:
        return warning(
            CHECK,
            f"`{facts.name}` builds images on this machine, where no container engine answers: {facts.no_engine}",
            "Start Docker. Pipelines with existing images (`skip_build`) do not need it.",
        )
    asked_for = facts.latest_run_platform or facts.platform
    architecture = _architecture_of(asked_for) or facts.architecture
    by_whom = ", as set in the `DockerSettings` of the latest run on the stack" if facts.latest_run_platform else ""
    if architecture not in _WANTED and not jobs_run_here:
        return failed(
            CHECK,
            f"`{facts.name}` builds images for {architecture}{by_whom}, but Azure ML's machines are amd64: jobs would "
            "fail with `exec format error`.",
            "Build them for amd64, in the settings of the pipeline: "
            f'DockerSettings(build_config={{"build_options": {{"platform": "{_PLATFORM}"}}}}).',
        )
    unless = by_whom or "; a pipeline's `DockerSettings` can change that"
    return ok(CHECK, f"`{facts.name}` builds for {architecture}{unless}")


def _architecture_of(platform: str) -> str:
    """Return `amd64` for `linux/amd64`, `arm64` for `linux/arm64/v8`."""
    return platform.partition("/")[2].partition("/")[0] or platform
