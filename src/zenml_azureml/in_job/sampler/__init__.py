"""The sampler of the resources that a step uses, in the process of its watcher. Standard library only."""
