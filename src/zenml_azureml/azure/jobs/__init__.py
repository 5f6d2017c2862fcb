"""Jobs of a workspace: build, submit, poll, watch, list, describe."""
