"""The config file: its shape, how it is read, and how its changes are noticed."""
