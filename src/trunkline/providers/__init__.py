"""Whom to call: providers as rows, signing as functions, models and prices as tables."""
