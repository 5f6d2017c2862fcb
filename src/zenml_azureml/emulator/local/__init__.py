"""The emulator on a machine: its process, state folder, certificates, keys, proxy and shell variables."""
