"""HTTP for all services of the emulator: answers, errors, limits, faults, access."""
