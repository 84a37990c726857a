"""Decisions, pure: no clock, no dice, no I/O. Time is an argument."""
