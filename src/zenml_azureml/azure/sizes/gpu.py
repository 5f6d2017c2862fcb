"""The GPU of a VM size: `vmSizes` has the number of GPUs, and only the size's name shows which.

Sources: Azure's naming conventions of VM sizes, and its pages of the GPU series.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

#: Since 2020 names carry the GPU as a part of their own: `Standard_NC24ads_A100_v4`. Versions (`v4`) and
#: words without a number (`Promo`, `NDR`, `flex`) look different.
_PART_OF_NAME = re.compile(r"(?!v\d$)[a-z]+\d\w*", re.IGNORECASE)

#: Older names only carry series and version: `Standard_ND40rs_v2`.
_SERIES = re.compile(r"standard_(n[cdv])\d+[a-z]*(?:_promo)?(?:_(v\d))?", re.IGNORECASE)

_VCPUS = re.compile(r"standard_(n[a-z]+)(\d+)", re.IGNORECASE)

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

#: Memory of each whole GPU in GB.
_MEMORY_GB = {
    **{"K80": 12, "P100": 16, "P40": 24, "M60": 8, "V100": 16, "T4": 16, "A10": 24, "A100": 80, "H100": 80},
    **{"H200": 141, "GB200": 192, "GB300": 288, "MI300X": 192, "MI25": 16, "V620": 32, "V710": 24},
    **{"RTXPRO6000BSE": 96},
}

#: The same for the series whose GPUs have another memory, by the letters of the size's name.
_MEMORY_GB_OF_SERIES = {("ND", "V100"): 32, ("NC", "H100"): 94, ("NCC", "H100"): 94}

#: Sizes with a part of a GPU, by its chip and the size's vCPUs; `vmSizes` reports 1 GPU for them.
_PARTS = {
    "A10": {6: Fraction(1, 6), 12: Fraction(1, 3), 18: Fraction(1, 2)},
    "V710": {4: Fraction(1, 6), 8: Fraction(1, 3), 12: Fraction(1, 2)},
    "V620": {8: Fraction(1, 4), 16: Fraction(1, 2)},
    "MI25": {4: Fraction(1, 8), 8: Fraction(1, 4), 16: Fraction(1, 2)},
}

#: The chips that Azure has.
CHIPS = frozenset(_MEMORY_GB) | {"B200", "MI355X"}

#: Words around the name of a chip: `NVIDIA-Tesla-T4`, `A100-80GB`.
_AROUND_CHIPS = re.compile(r"nvidia|tesla|amd|instinct|radeon|gpu|\d+gb", re.IGNORECASE)


@dataclass(frozen=True)
class Gpu:
    """A GPU of a VM size.

    Attributes:
        chip: Its name in capitals, e.g. `T4`.
        memory_gb: Memory that the size has of it, in GB; None if unknown.
        share: The share that the size has of it; 1 for a whole one.
    """

    chip: str
    memory_gb: float | None = None
    share: Fraction = Fraction(1)

    @property
    def is_part(self) -> bool:
        """True if the size has only a part of it."""
        return self.share < 1


def gpu_of(size_name: str) -> Gpu | None:
    """Return the GPU of a size.

    Args:
        size_name: Name of a VM size, e.g. `Standard_NC4as_T4_v3`, in any case.

    Returns:
        The GPU; None if the name does not show it.
    """
    chip = _chip_of(size_name)
    if chip is None:
        return None
    named = _VCPUS.match(size_name)
    series, vcpus = (named[1].upper(), int(named[2])) if named else ("", 0)
    memory: float | None = _MEMORY_GB_OF_SERIES.get((series, chip)) or _MEMORY_GB.get(chip)
    if (series, chip) == ("ND", "A100") and "_A100_" not in size_name.upper():
        memory = 40
    share = _PARTS.get(chip, {}).get(vcpus, Fraction(1))
    return Gpu(chip, None if memory is None else float(memory * share), share)


def chip_named(text: str) -> str | None:
    """Return the chip that a text names; None if Azure has no such chip.

    Args:
        text: E.g. `a100`, `nvidia-tesla-t4`, `A100-80GB`, or the name of a capacity class.
    """
    words = [word for word in re.split(r"[^a-zA-Z0-9]+", text) if word and not _AROUND_CHIPS.fullmatch(word)]
    name = "".join(words).upper()
    return name if name in CHIPS else None


def _chip_of(size_name: str) -> str | None:
    for part in size_name.split("_")[2:]:
        if _PART_OF_NAME.fullmatch(part):
            return part.upper()
    series = _SERIES.fullmatch(size_name)
    return series and _OF_SERIES.get((series[1].lower(), (series[2] or "v1").lower()))
