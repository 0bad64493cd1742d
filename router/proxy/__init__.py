"""The data-plane process: client sockets in, instances out."""
