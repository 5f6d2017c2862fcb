"""`zenml-azureml sizes --for STEP`: advice on the VM size of a step from its last runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from zenml_azureml.azure.sizes.advice import amount, in_words
from zenml_azureml.cli.output import echo
from zenml_azureml.cli.progress import working
from zenml_azureml.cli.tables import show_rows
from zenml_azureml.contract.usage import CPU, GPU, GPU_MEMORY, MEMORY, Usage
from zenml_azureml.job_admin.past_usage import PastUsage, StepAdvice, advice_of, past_usages
from zenml_azureml.job_admin.usage_plot import duration
from zenml_azureml.lifecycle.cost import in_usd

if TYPE_CHECKING:
    from zenml_azureml.azure.sizes.vm_size import ComputeKind
    from zenml_azureml.job_admin.workspaces import Place


def show_advice(
    place: Place, step: str, *, location: str | None, kind: ComputeKind | None, low_priority: bool, as_json: bool
) -> None:
    """Print what the last runs of a step have used, and a size that would do.

    Args:
        place: The workspace.
        step: Name of the step.
        location: Region; None for that of the workspace.
        kind: Kind of compute; None for the one that it ran on.
        low_priority: True for low-priority nodes.
        as_json: True to print JSON.

    Raises:
        AzureMLError: If no run of such a step has reported its use, or sizes and quota cannot be read.
    """
    with working("Reading the last runs"):
        past = past_usages(step)
        inspector = place.workspace.inspector
        region = location or inspector.workspace().location
        advice = advice_of(past, inspector.sizes(region), inspector.quota(region), kind=kind, low_priority=low_priority)
    words = in_sentence(past, advice, region, low_priority=low_priority)
    if as_json:
        echo(json.dumps(_as_json(past, advice, words), indent=2))
        return
    _show(past)
    echo()
    echo(words)


def in_sentence(past: Sequence[PastUsage], advice: StepAdvice | None, region: str, *, low_priority: bool) -> str:
    """Return the advice as sentences."""
    if advice is None:
        size = past[0].size or "that Azure chose"
        return f"No advice: the size {size} is not among those of {region}. `--location` selects another region."
    facts = f"{advice.runs} {'run' if advice.runs == 1 else 'runs'} on {advice.size.name}: {in_words(advice.usage)}."
    if advice.larger is not None:
        return f"{facts} Its memory was used up: the next size up that has quota is {advice.larger.describe()}."
    if advice.cheaper is None:
        return f"{facts} No cheaper size with quota would do."
    price = advice.cheaper.size.price(low_priority=low_priority)
    saves = f"{in_usd(advice.cheaper.saves_per_hour)} USD less per hour and node"
    costs = "" if price is None else f" (about {in_usd(price)} USD per hour and node)"
    gpu = ", without the GPU that was not used" if advice.cheaper.without_gpu else ""
    return f"{facts} {advice.cheaper.size.describe()} would do{gpu}: {saves}{costs}."


def _show(past: Sequence[PastUsage]) -> None:
    has_gpus = any(one.usage.gpus for one in past)
    gpus = ("GPU %", "GPU GB") if has_gpus else ()
    header = ("Started", "Status", "Size", "Nodes", "Time", "Peak GB", "of", "CPU %", *gpus)
    rows = [
        (
            f"{one.created:%Y-%m-%d %H:%M}",
            one.status,
            one.size or "?",
            str(one.usage.nodes),
            duration(one.usage.seconds),
            _peak(one.usage, MEMORY),
            _limit(one.usage, MEMORY),
            _busy(one.usage, CPU),
            *((_busy(one.usage, GPU), _peak(one.usage, GPU_MEMORY)) if has_gpus else ()),
        )
        for one in past
    ]
    show_rows(header, rows, numbers=("Nodes", "Peak GB", "of", "CPU %", *gpus))


def _peak(usage: Usage, name: str) -> str:
    peak = usage.peak(name)
    return "?" if peak is None else amount(peak)


def _limit(usage: Usage, name: str) -> str:
    metric = usage.metrics.get(name)
    return "?" if metric is None or metric.limit is None else amount(metric.limit)


def _busy(usage: Usage, name: str) -> str:
    metric = usage.metrics.get(name)
    return "?" if metric is None or not metric.limit else f"{100 * metric.mean / metric.limit:.0f}"


def _as_json(past: Sequence[PastUsage], advice: StepAdvice | None, words: str) -> dict[str, Any]:
    cheaper = advice.cheaper if advice else None
    larger = advice.larger if advice else None
    return {
        "advice": words,
        "size": advice and advice.size.name,
        "cheaper_size": cheaper and cheaper.size.name,
        "saves_usd_per_hour_and_node": cheaper and round(cheaper.saves_per_hour, 4),
        "larger_size": larger and larger.name,
        "runs": [
            {
                "run_id": one.run,
                "step": one.step,
                "created": one.created.isoformat(),
                "status": one.status,
                "size": one.size or None,
                "usage": one.usage.as_json(),
            }
            for one in past
        ],
    }
