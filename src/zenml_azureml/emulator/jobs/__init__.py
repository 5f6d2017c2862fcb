"""Jobs: from what was sent to what is executed, their life, and their ends."""
