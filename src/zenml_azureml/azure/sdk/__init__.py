"""The only place for what the Azure ML SDK makes necessary: its import, and workarounds."""
