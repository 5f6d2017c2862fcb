"""VM sizes, prices and quota of a subscription in a region, each fetched once per process."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from azure.core.exceptions import AzureError, HttpResponseError

from zenml_azureml.azure.connection import WorkspaceAddress, WorkspaceConnection
from zenml_azureml.azure.errors import error_message, to_azureml_error
from zenml_azureml.azure.single_flight import Once
from zenml_azureml.azure.sizes.parsing import quota_rows, vm_size
from zenml_azureml.azure.sizes.quota import Quota
from zenml_azureml.azure.sizes.vm_size import VmSize
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.fork_lock import ForkLock

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Region:
    sizes: Once[tuple[VmSize, ...] | None] = field(default_factory=Once)
    quota: Once[Quota] = field(default_factory=Once)
    sizes_for_prices: Once[tuple[VmSize, ...]] = field(default_factory=Once)
    quota_for_advice: Once[Quota | None] = field(default_factory=Once)


#: By Resource Manager endpoint, subscription and region, for all workspaces of this process.
_regions: dict[tuple[str, str, str], _Region] = {}
_regions_lock = ForkLock(_regions.clear)  # also because a thread of the parent may have held a `Once`


class SizeCatalogue:
    """VM sizes and quota in the region of a workspace's computes. Thread-safe; requests nothing before it is needed.

    The lists require a role on the subscription, such as Reader, which people who run jobs often lack. If a
    credential may not read one, a warning says so once, and the list counts as unknown.

    Args:
        connection: The workspace.
        location: Azure region of the computes; None for the workspace's own, which costs one more request if the
            workspace is not known yet.
    """

    def __init__(self, connection: WorkspaceConnection, location: str | None = None) -> None:
        self._connection = connection
        self._location = location
        self._own_location: Once[str] = Once()

    @property
    def address(self) -> WorkspaceAddress:
        """The workspace."""
        return self._connection.address

    @property
    def region(self) -> str:
        """The region's name, e.g. `westeurope`.

        Raises:
            AzureMLError: If the workspace cannot be read.
        """
        return self._location or self._own_location.get(self._find_location)

    def sizes(self) -> tuple[VmSize, ...] | None:
        """Return the VM sizes that the region offers, in Azure's order; None if the credential may not list them.

        Raises:
            AzureMLError: If they cannot be listed for another reason.
        """
        return self._region().sizes.get(self._list_sizes)

    def quota(self) -> Quota:
        """Return the subscription's quota in the region, with its use at the time of the first request.

        Raises:
            AzureMLError: If it cannot be listed for another reason than a missing role.
        """
        return self._region().quota.get(self._list_quota)

    def price_of(self, size: str, *, low_priority: bool, required: bool = False) -> float | None:
        """Return the price of a node. If it is only for display, the list is read once, and failures are ignored.

        Args:
            size: Name of its size, in any case.
            low_priority: True for a low-priority node.
            required: True if it is more than display.

        Returns:
            US dollars per hour, by Azure's estimate; None if it gives none, or cannot be reached.

        Raises:
            AzureMLError: If it is required, and the sizes cannot be listed for another reason than a missing role.
        """
        try:
            sizes = self._sizes_with_prices(required=required)
        except AzureMLError as error:
            if required:
                raise
            logger.debug("Prices are not known: %s", error)
            return None
        prices = [listed.price(low_priority=low_priority) for listed in sizes if listed.name.lower() == size.lower()]
        return prices[0] if prices else None

    def offer(self) -> tuple[tuple[VmSize, ...], Quota] | None:
        """Return sizes and quota for advice, if both can be read at once: no step waits for advice.

        Returns:
            Both; None if one is not known.
        """
        try:
            region = self._region()
            known = region.sizes.results
            sizes = (known[0] or ()) if known else region.sizes_for_prices.get(self._try_to_list_sizes)
            quota = region.quota.results or (region.quota_for_advice.get(self._try_to_list_quota),)
        except AzureMLError as error:
            logger.debug("Sizes and quota are not known: %s", error)
            return None
        return (sizes, quota[0]) if sizes and quota[0] is not None else None

    def _sizes_with_prices(self, *, required: bool) -> tuple[VmSize, ...]:
        if required:
            return self.sizes() or ()
        region = self._region()
        known = region.sizes.results
        return (known[0] or ()) if known else region.sizes_for_prices.get(self._try_to_list_sizes)

    def _region(self) -> _Region:
        address = self._connection.address
        key = (self._connection.cloud.resource_manager, address.subscription_id.lower(), self.region.lower())
        with _regions_lock:
            return _regions.setdefault(key, _Region())

    def _find_location(self) -> str:
        try:
            return self._connection.location
        except AzureError as error:
            raise to_azureml_error("find the workspace's region", error, self._connection.address) from error

    def _list_sizes(self) -> tuple[VmSize, ...] | None:
        compute = self._connection.client.compute
        listed = self._listed("VM sizes", lambda: [vm_size(one) for one in compute.list_sizes(location=self.region)])
        return None if listed is None else tuple(listed)

    def _try_to_list_sizes(self) -> tuple[VmSize, ...]:
        try:
            # No retries: no step waits for a service only to show its price.
            with self._connection.reading():
                listed = self._connection.one_try_client.compute.list_sizes(location=self.region)
                return tuple(vm_size(item) for item in listed)
        except AzureError as error:
            logger.info("Prices of VM sizes in `%s` are not known: %s", self.region, error_message(error))
            return ()

    def _try_to_list_quota(self) -> Quota | None:
        try:
            with self._connection.reading():
                usages = self._connection.one_try_client.compute.list_usage(location=self.region)
                rows = tuple(row for one in usages for row in quota_rows(one))
        except AzureError as error:
            logger.info("Quota in `%s` is not known: %s", self.region, error_message(error))
            return None
        return Quota(self.region, rows, f"{self._connection.cloud.studio}/quota")

    def _list_quota(self) -> Quota:
        compute = self._connection.client.compute
        usages = self._listed(
            "quota", lambda: [row for one in compute.list_usage(location=self.region) for row in quota_rows(one)]
        )
        return Quota(self.region, tuple(usages or ()), f"{self._connection.cloud.studio}/quota")

    def _listed(self, what: str, ask: Callable[[], list[Any]]) -> list[Any] | None:
        address = self._connection.address
        try:
            with self._connection.reading():
                return ask()
        except AzureError as error:
            if not isinstance(error, HttpResponseError) or error.status_code != 403:
                raise to_azureml_error(f"list the {what}", error, address) from error
            logger.warning(
                "The credential may not list the %s of `%s`, so they are not checked. A role such as Reader on the "
                "subscription `%s` allows it. Azure: %s",
                what,
                self.region,
                address.subscription_id,
                error_message(error),
            )
            return None
