"""The emulator's own interface, below `/_emulator/`."""
