"""The SSH service of jobs: a websocket that leads to an SSH server for one node."""
