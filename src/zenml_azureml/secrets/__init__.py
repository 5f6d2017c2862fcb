"""Classification of names and values as secrets, and redaction. Pure; all packages may import it."""
