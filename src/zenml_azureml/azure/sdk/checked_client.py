"""A wrapper of the SDK's client that raises one kind of error for all answers that the SDK cannot read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

from azure.ai.ml import MLClient
from azure.core.exceptions import ResourceNotFoundError
from azure.core.paging import ItemPaged
from azure.core.polling import LROPoller

from zenml_azureml.azure.responses import AnswerError, LastAnswer, PageGuard, address_of, understood

#: The parts that this package uses.
_PARTS = frozenset({"compute", "environments", "jobs", "workspaces"})


def checked(client: MLClient, begin: Callable[[], LastAnswer]) -> MLClient:
    """Return a client that raises `AnswerError` for each answer that the SDK cannot read, and whose lists are finite.

    Args:
        client: The SDK's client.
        begin: Called before each of its calls; returns the record of its answers.
    """
    return cast("MLClient", _Client(client, begin))


class _Client:
    def __init__(self, client: MLClient, begin: Callable[[], LastAnswer]) -> None:
        self._client = client
        self._begin = begin

    def __getattr__(self, name: str) -> Any:
        part = getattr(self._client, name)
        return _Part(part, name, self._begin) if name in _PARTS else part


class _Part:
    def __init__(self, part: Any, kind: str, begin: Callable[[], LastAnswer]) -> None:
        self._part = part
        self._kind = kind
        self._begin = begin

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._part, name)
        if not callable(attribute):
            return attribute

        def call(*arguments: Any, **options: Any) -> Any:
            last = self._begin()
            with understood(last):
                try:
                    result = attribute(*arguments, **options)
                except ResourceNotFoundError as error:
                    if self._kind == "jobs" and "/jobs/" not in last.url:
                        # For a job without properties, the SDK asks run history, as for a child of a pipeline job.
                        raise AnswerError(f"{address_of(last.url)} has no such job.") from error
                    raise
            if isinstance(result, LROPoller):
                return _Poller(result, last)
            if isinstance(result, (ItemPaged, Iterator)):
                return items_of(result, self._begin)
            if result is None and name == "get":
                raise AnswerError(f"{address_of(last.url)} answered with nothing instead of an object.")
            return result

        return call


def items_of(listed: Any, begin: Callable[[], LastAnswer]) -> Iterator[Any]:
    """Yield the items of a list, which is finite.

    Args:
        listed: The list: a pager, or an iterator.
        begin: Called before each page; returns the record of its answers.

    Raises:
        AnswerError: If a page cannot be read, or if there are too many.
    """
    pages = listed.by_page() if isinstance(listed, ItemPaged) else iter([listed])
    following: PageGuard | None = None
    while True:
        last = begin()  # the caller may send other requests between the items
        with understood(last):
            page = next(pages, None)
            items = None if page is None else list(page)
        if items is None:
            return
        yield from items
        following = following or PageGuard(last.url)
        following.to(getattr(pages, "continuation_token", None))


class _Poller:
    """A long-running operation, with the methods of `LROPoller` that this package uses."""

    def __init__(self, poller: LROPoller[Any], last: LastAnswer) -> None:
        self._poller = poller
        self._last = last

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._poller, name)
        if not callable(attribute):
            return attribute

        def call(*arguments: Any, **options: Any) -> Any:
            with understood(self._last):
                return attribute(*arguments, **options)

        return call
