"""From a compute request to a target that can run a job. `provisioner.py` is the way in."""
