"""Thin faces of mailstrom for frameworks, each imported by its users only."""
