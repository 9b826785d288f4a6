"""A small Django project, run in processes of its own by tests/interop/test_django*.py."""
