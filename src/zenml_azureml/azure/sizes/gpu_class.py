"""The GPU class of a VM size: `vmSizes` has the number of GPUs, and only the size's name shows the class.

Source: Azure's naming conventions of VM sizes and its pages of the GPU series.
"""

from __future__ import annotations

import re

#: Since 2020 names carry the GPU as a part of their own: `Standard_NC24ads_A100_v4`. Versions (`v4`) and
#: words without a number (`Promo`, `NDR`, `flex`) look different.
_PART_OF_NAME = re.compile(r"(?!v\d$)[a-z]+\d\w*", re.IGNORECASE)

#: Older names only carry series and version: `Standard_NC6s_v3`.
_SERIES = re.compile(r"standard_(n[cdv])\d+[a-z]*(?:_promo)?(?:_(v\d))?", re.IGNORECASE)

_OF_SERIES = {
    ("nc", "v1"): "K80",
    ("nc", "v2"): "P100",
    ("nc", "v3"): "V100",
    ("nd", "v1"): "P40",
    ("nd", "v2"): "V100",
    ("nd", "v4"): "A100",  # ND96asr_v4, with 40 GB; the one with 80 GB has that in its name
    ("nv", "v1"): "M60",
    ("nv", "v2"): "M60",
    ("nv", "v3"): "M60",
    ("nv", "v4"): "MI25",
}


def gpu_class_of(size_name: str) -> str | None:
    """Return the GPU class of a size.

    Args:
        size_name: Name of a VM size, e.g. `Standard_NC4as_T4_v3`, in any case.

    Returns:
        The GPU's name in capitals, e.g. `T4`; None if the name does not show it.
    """
    for part in size_name.split("_")[2:]:
        if _PART_OF_NAME.fullmatch(part):
            return part.upper()
    series = _SERIES.fullmatch(size_name)
    if series is None:
        return None
    return _OF_SERIES.get((series[1].lower(), (series[2] or "v1").lower()))
