"""The admin API: HTTP and JSON over what the control process can do."""
