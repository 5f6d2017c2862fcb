"""From a compute request to a target that can run a job. `ensure.py` is the way in."""
