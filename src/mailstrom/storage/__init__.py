"""Where the queue rests.

    memory.py      MemoryStorage: fast, bounded, gone with the process
    exclusive.py   lifts any six-method Storage to what the engine works with
    due_queue.py   what falls due when, fair over route keys and streams (pure)
    turns.py       whose turn it is within a route key (pure)
    changes.py     what a claim, a settle, a cancel make of a status (pure)
    fork.py        a child process begins with an empty queue
"""
