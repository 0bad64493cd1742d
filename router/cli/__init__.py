"""The `teal` command."""
