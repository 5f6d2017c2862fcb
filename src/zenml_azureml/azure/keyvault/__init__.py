"""Delivery of secrets to jobs by a key vault."""
