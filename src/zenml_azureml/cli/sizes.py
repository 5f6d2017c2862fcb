"""`zenml-azureml sizes`: VM sizes with their prices and quota."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from zenml_azureml.cli.options import chosen_places, click_errors, log_to_stderr, place_options
from zenml_azureml.cli.output import echo
from zenml_azureml.cli.progress import working
from zenml_azureml.cli.tables import show_rows

if TYPE_CHECKING:
    from zenml_azureml.azure.sizes.quota import Quota
    from zenml_azureml.azure.sizes.search import FoundSize
    from zenml_azureml.azure.sizes.vm_size import VmSize

_KINDS = ("serverless", "compute-cluster", "compute-instance")


@click.command(short_help="List VM sizes, with prices and quota.")
@click.argument("name", required=False, default="", metavar="[PART_OF_NAME]")
@click.option("--cpus", type=click.FloatRange(min=0), metavar="N", help="Minimum number of vCPUs.")
@click.option(
    "--gpus", type=click.IntRange(min=0), metavar="N", help="Minimum number of GPUs; 0 for sizes without GPUs."
)
@click.option("--gpu-class", metavar="NAME", help="GPU class, e.g. T4, V100, A100.")
@click.option("--gpu-memory", type=click.FloatRange(min=0), metavar="GB", help="Minimum memory of each GPU.")
@click.option("--memory", type=click.FloatRange(min=0), metavar="GB", help="Minimum memory.")
@click.option("--max-price", type=click.FloatRange(min=0), metavar="USD", help="Maximum price per hour and node.")
@click.option("--low-priority", is_flag=True, help="Prices and quota of low-priority and spot nodes.")
@click.option("--mode", type=click.Choice(_KINDS), help="Only sizes that this kind of compute supports.")
@click.option("--available", is_flag=True, help="Only sizes with enough quota left for a node.")
@click.option("--location", metavar="REGION", help="Azure region.  [default: the region of the workspace]")
@click.option("--for", "step", metavar="STEP", help="Advise on the size of a step from its last runs.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@place_options
def sizes(
    *,
    name: str,
    cpus: float | None,
    gpus: int | None,
    gpu_class: str | None,
    gpu_memory: float | None,
    memory: float | None,
    max_price: float | None,
    low_priority: bool,
    mode: Any,
    available: bool,
    location: str | None,
    step: str | None,
    as_json: bool,
    **where: str | None,
) -> None:
    """List the VM sizes in the region of the workspace, the cheapest first.

    Shows Azure's estimated price in US dollars per hour and node, the quota that a size counts against, and the number
    of further nodes that the quota allows. A size with a part of a GPU matches only with `--gpu-memory`, or without
    filters for GPUs.

    With --for STEP or --for PIPELINE.STEP, shows what the last runs of a step have used, and a size that would do.
    """
    log_to_stderr()
    if step is not None:
        given = (name, cpus, gpus, gpu_class, gpu_memory, memory, max_price, available)
        if any(value not in ("", None, False) for value in given):
            raise click.UsageError("--for cannot be combined with filters.")
        from zenml_azureml.cli.sizes_for import show_advice

        with click_errors():
            place, *_ = chosen_places(**where)
            show_advice(place, step, location=location, kind=mode, low_priority=low_priority, as_json=as_json)
        return
    from zenml_azureml.azure.sizes.retired import retirement_of
    from zenml_azureml.azure.sizes.search import Search, search_sizes
    from zenml_azureml.azure.sizes.vm_size import ResourceRequest

    with click_errors():
        search = Search(
            ResourceRequest(cpus, gpus, gpu_class, memory, gpu_memory),
            max_price,
            low_priority,
            mode,
            name,
            with_room=available,
        )
        place, *_ = chosen_places(**where)
        with working("Listing VM sizes"):
            inspector = place.workspace.inspector
            region = location or inspector.workspace().location
            found_sizes, quota = inspector.sizes(region), inspector.quota(region)
    found = search_sizes(found_sizes, quota, search)
    if as_json:
        echo(json.dumps([_as_json(one, region) for one in found], indent=2))
    elif found:
        _show(found, quota, low_priority=low_priority)
    else:
        retirement = retirement_of(name)
        echo(retirement.describe(name) if retirement else f"No VM size in {region} matches these filters.")


def _show(found: list[FoundSize], quota: Quota, *, low_priority: bool) -> None:
    from zenml_azureml.azure.sizes.retired import retirement_of

    price = "USD/h low prio." if low_priority else "USD/h"
    numbers = ("vCPU", "GPU GB", "GB", price, "vCPU used", "of", "Nodes left")
    rows = [
        (
            f"{one.size.name} (retired)" if retirement_of(one.size.name) else one.size.name,
            str(one.size.vcpus),
            _gpus(one.size),
            f"{one.size.gpu.memory_gb:g}" if one.size.gpu and one.size.gpu.memory_gb else "",
            f"{one.size.memory_gb:g}",
            "?" if one.price is None else f"{one.price:.2f}",
            str(one.quota.used) if one.quota else "?",
            str(one.quota.limit) if one.quota else "?",
            "?" if one.nodes_left is None else str(one.nodes_left),
        )
        for one in found
    ]
    show_rows(("Size", "vCPU", "GPU", "GPU GB", "GB", price, "vCPU used", "of", "Nodes left"), rows, numbers=numbers)
    echo(f"\nMore quota for {quota.region}: {quota.page}", err=True)


def _gpus(size: VmSize) -> str:
    if size.gpu is None:
        return str(size.gpus or "")
    return f"{size.gpu.share if size.gpu.is_part else size.gpus} {size.gpu.chip}"


def _as_json(found: FoundSize, region: str) -> dict[str, Any]:
    from zenml_azureml.azure.sizes.retired import retirement_of

    size = found.size
    retirement = retirement_of(size.name)
    return {
        "name": size.name,
        "region": region,
        "family": size.family,
        "vcpus": size.vcpus,
        "gpus": size.gpus,
        "gpu_class": size.gpu and size.gpu.chip,
        "gpu_share": size.gpu and float(size.gpu.share),
        "gpu_memory_gb": size.gpu and size.gpu.memory_gb,
        "memory_gb": size.memory_gb,
        "usd_per_hour": size.price_per_hour,
        "usd_per_hour_low_priority": size.low_priority_price_per_hour,
        "low_priority_capable": size.low_priority_capable,
        "retired_on": retirement and f"{retirement.on:%Y-%m-%d}",
        "successor": retirement and retirement.successor,
        "modes": [kind for kind in _KINDS if size.supports(kind)],  # type: ignore[arg-type]
        "quota": found.quota
        and {"name": found.quota.family, "vcpus_used": found.quota.used, "vcpus_limit": found.quota.limit},
        "nodes_left": found.nodes_left,
    }
