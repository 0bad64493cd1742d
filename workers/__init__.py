"""The scoring process: serves one scoring script over HTTP, inside the user's own environment."""

VERSION = "0.1.0"
