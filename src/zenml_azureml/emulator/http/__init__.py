"""What every service of the emulator shares about HTTP: answers, errors, limits, faults, who may connect."""
