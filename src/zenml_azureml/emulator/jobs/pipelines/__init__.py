"""Pipelines of commands: what their nodes are bound to, the job of each node, and the life of the whole."""
