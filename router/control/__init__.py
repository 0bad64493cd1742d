"""The control process: config file, supervisor, state, metrics, admin HTTP."""
