"""Failures of jobs on purpose: a catalogue of scenarios, and those that are armed."""
