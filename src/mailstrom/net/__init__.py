"""The adapters to the world outside: connections, name look-ups, TLS."""
