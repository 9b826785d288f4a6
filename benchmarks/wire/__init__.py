"""How many messages a second go over the wire, by mailstrom and by others: see ../README.md."""
