"""azure-ai-ml's own end-to-end tests on the emulator: `make sdk-tests`."""
