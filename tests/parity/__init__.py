"""Comparison of the emulator's answers with recorded answers of Azure ML: `make parity`."""
