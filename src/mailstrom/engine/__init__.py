"""Who does it: the worker thread's loop, from a claim to its settled result."""
