"""The process beside a step that ends it when it is over on the ZenML server. Standard library only."""
