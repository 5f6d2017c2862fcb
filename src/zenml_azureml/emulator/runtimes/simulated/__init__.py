"""Jobs that only pretend to run."""
