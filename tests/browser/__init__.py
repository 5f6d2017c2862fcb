"""The documentation as a site, in a browser. `make test-site` runs it, in an environment of its own."""
