"""The dialogue: one session with one host, strict about every octet that comes back."""
