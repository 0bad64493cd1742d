"""Decisions of the router, without I/O: time and chance are arguments."""
