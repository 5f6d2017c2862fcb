"""How jobs fail on purpose: a catalogue of ways to fail, and what is armed of it."""
