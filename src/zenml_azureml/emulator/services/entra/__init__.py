"""Microsoft Entra: sign-in, tokens, managed identities, clouds."""
