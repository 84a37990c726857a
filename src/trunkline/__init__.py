"""Trunkline: an LLM gateway. Importing this package does nothing; `trunkline.app` builds the gateway."""

__version__ = "0.1.0"
