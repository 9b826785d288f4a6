"""Whether mailstrom bears a full queue, bad hosts, many callers and large mail: see ../README.md."""
