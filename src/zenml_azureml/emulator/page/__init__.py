"""The page of the emulator for a browser: it shows what the emulator holds, and changes nothing."""
