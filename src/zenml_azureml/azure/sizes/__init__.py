"""VM sizes: what a region offers, what quota is left, and which size serves a request. `sizing.py` is the way in."""
