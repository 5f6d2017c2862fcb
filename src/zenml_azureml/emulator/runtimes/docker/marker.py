"""The mark of a state folder whose emulator has had containers."""

from __future__ import annotations

#: In the state folder while containers of it may be there: which Docker engine has them.
ENGINE_MARK = "docker-engine"
