"""VM sizes that Azure has retired: they cannot be had any more. Pure.

Sources: Microsoft's "Retired Azure VM size series"
(https://learn.microsoft.com/azure/virtual-machines/sizes/retirement/retired-sizes-list) and its pages about the
retirement of the NC, NCv2, ND, NV (all on 2023-09-06), H (2022-08-31) and A (2024-08-31) series.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

_A10 = "Standard_NV{}ads_A10_v5"
_A100 = "Standard_NC{}ads_A100_v4"
_T4 = "Standard_NC{}as_T4_v3"


@dataclass(frozen=True)
class Retirement:
    """The retirement of a VM size.

    Attributes:
        on: The day from which Azure has no machines of the size.
        successor: A size that replaces it.
    """

    on: date
    successor: str

    def describe(self, name: str) -> str:
        """Describe it as a sentence.

        Args:
            name: The size.
        """
        return f"Azure retired the VM size `{name}` on {self.on:%Y-%m-%d}; its successor is `{self.successor}`."


_NVV4 = {"4": "6", "8": "12", "16": "18", "32": "36"}

#: By the names of the sizes, in lower case: the day, and the successor by the number in the name.
_SERIES: tuple[tuple[re.Pattern[str], date, str, dict[str, str]], ...] = (
    (re.compile(r"standard_nc(6|12|24)r?s_v3"), date(2025, 9, 30), _A100, {"6": "24", "12": "48", "24": "96"}),
    (re.compile(r"standard_nv(12|24|48)s_v3"), date(2026, 9, 30), _A10, {"12": "36", "24": "72", "48": "72"}),
    (
        re.compile(r"standard_nv(4|8|16|32)as_v4"),
        date(2026, 9, 30),
        _A10,
        {"4": "6", "8": "12", "16": "18", "32": "36"},
    ),
    (re.compile(r"standard_nc(6|12|24)r?(?:_promo)?"), date(2023, 9, 6), _T4, {"6": "4", "12": "64", "24": "64"}),
    (re.compile(r"standard_nc(6|12|24)r?s_v2"), date(2023, 9, 6), _A100, {"6": "24", "12": "48", "24": "96"}),
    (re.compile(r"standard_nd(6|12|24)r?s"), date(2023, 9, 6), _A100, {"6": "24", "12": "48", "24": "96"}),
    (re.compile(r"standard_nv(6|12|24)(?:s_v2|_promo)?"), date(2023, 9, 6), _A10, {"6": "12", "12": "18", "24": "36"}),
    (re.compile(r"standard_h(8|16)m?r?(?:_promo)?"), date(2022, 8, 31), "Standard_HB120rs_v3", {}),
    (re.compile(r"(?:standard|basic)_a(\d|10|11)"), date(2024, 8, 31), "Standard_D2s_v5", {}),
)


def retirement_of(size_name: str) -> Retirement | None:
    """Return the retirement of a VM size; None if Azure has not retired it.

    Args:
        size_name: Name of a VM size, in any case.
    """
    for pattern, day, successor, numbers in _SERIES:
        found = pattern.fullmatch(size_name.lower())
        if found:
            return Retirement(day, successor.format(numbers.get(found[1], "")))
    return None
