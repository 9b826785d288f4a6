"""How fast mailstrom makes mail, beside others who make the same mail in the same run: see README.md."""
