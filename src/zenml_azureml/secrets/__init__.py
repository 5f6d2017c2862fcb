"""Decisions about which names and values are secret, and what may be shown of them. Pure; anything may import it."""
