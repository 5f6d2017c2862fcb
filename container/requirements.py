"""Print what the emulator needs, from pyproject.toml: its extra, and those dependencies of the package that it uses."""

import re
from pathlib import Path

import tomllib

#: A test imports the emulator and its commands with nothing else.
USED = {"click", "pydantic", "requests", "rich"}

project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
used = [needed for needed in project["dependencies"] if re.split(r"[^a-z0-9-]", needed)[0] in USED]
print("\n".join([*project["optional-dependencies"]["emulator"], *used]))
