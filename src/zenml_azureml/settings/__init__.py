"""What users may ask for, and what that resolves to. Pure, without `azure.*`; for packages above `azure`."""
