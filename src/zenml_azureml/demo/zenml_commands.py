"""Runs several `zenml` commands in one process: to import ZenML takes most of the time of each.

`python -m zenml_azureml.demo.zenml_commands` reads a JSON list of arguments from each line of stdin, and writes a line
with the exit code to stdout. What the commands print goes to stderr.
"""

from __future__ import annotations

import json
import os
import sys


def main() -> None:
    """Run the commands until stdin ends."""
    codes = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    from zenml_cli import cli

    for line in sys.stdin:
        sys.argv[1:] = json.loads(line)
        try:
            cli()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        else:
            code = 0
        sys.stdout.flush()
        print(code, file=codes, flush=True)


if __name__ == "__main__":
    main()
