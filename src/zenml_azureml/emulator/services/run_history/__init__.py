"""The run history service: details of runs, and discovery."""
