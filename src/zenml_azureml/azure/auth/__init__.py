"""Credentials: who signs in, renewal of tokens, and errors of signing in."""
