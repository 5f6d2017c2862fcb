"""The same tests against a real workspace: `make live`. docs/live.md describes it."""
