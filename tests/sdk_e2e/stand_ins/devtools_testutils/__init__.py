"""Stand-in for the recording tool of Azure's SDKs: the tests reach a service, and nothing is recorded."""

from __future__ import annotations


def is_live() -> bool:
    return True


def is_live_and_not_recording() -> bool:
    """False: else the tests replace the SDK's hashes of folders by random ones."""
    return False


class AzureRecordedTestCase:
    """Base of the tests; the recorded ones have helpers here that none of the tests that run needs."""


def _nothing(*_arguments: object, **_named: object) -> None:
    """Stand for a setting of the recording tool."""


add_body_key_sanitizer = add_general_regex_sanitizer = add_general_string_sanitizer = _nothing
add_remove_header_sanitizer = add_uri_regex_sanitizer = remove_batch_sanitizers = _nothing
set_bodiless_matcher = set_custom_default_matcher = _nothing
