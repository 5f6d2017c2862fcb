"""State that lasts: what the emulator holds, in a database in its state folder."""
