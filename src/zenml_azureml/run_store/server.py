"""The identity of ZenML's server."""

from __future__ import annotations

from functools import lru_cache
from uuid import UUID

from zenml.client import Client


def server_id() -> UUID:
    """Return the id of ZenML's server, or of the database in its place. Costs one request per process."""
    return _server_id_at(Client().zen_store.url)


@lru_cache
def _server_id_at(url: str) -> UUID:  # the URL is the key of the cache
    return Client().zen_store.get_store_info().id
