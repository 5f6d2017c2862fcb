"""A program that is a ZenML server, forked from a process in which one is imported: `serve_zenml.py PORT`."""

from __future__ import annotations

import sys

import uvicorn
from passlib.hash import bcrypt
from zenml.zen_server import utils, zen_server_api

if __name__ == "__main__":
    # Made when the server was imported, with a key for sessions, of which each server has one of its own.
    utils._server_config = None
    # Passwords and keys of tests may be quick to guess: each client's sign-in would take half a second.
    bcrypt.default_rounds = bcrypt.min_rounds
    uvicorn.run(zen_server_api.app, host="127.0.0.1", port=int(sys.argv[1]))
