"""VM sizes: the offer of a region, its quota, and the choice of a size. Start with `sizing.py`."""
