"""WHEN and WHETHER: pure rules that turn what happened into what happens next."""
