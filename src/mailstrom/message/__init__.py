"""WHAT is carried: addresses, emails and their bytes; pure values and rules, no I/O."""
