"""A pytest plugin with fixtures for the emulator; pytest loads it by its entry point."""
