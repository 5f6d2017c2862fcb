"""Provisioning of computes: from a compute spec to a target that can run a job. Start with `provisioner.py`."""
