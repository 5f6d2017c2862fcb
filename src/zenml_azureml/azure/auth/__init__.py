"""Authentication: credentials, renewal of tokens, and sign-in errors."""
