"""Messages of the standard library, written by our own writer."""
