"""The command line: `mailstrom send` and `mailstrom demo`; see main.py."""
