"""Import of the Azure ML SDK, and workarounds for it."""
