"""The traffic router daemon."""

__version__ = "0.1.0"
