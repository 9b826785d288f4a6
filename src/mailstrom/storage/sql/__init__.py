"""The queue as tables: what is asked of a database, apart from the way it is asked."""
