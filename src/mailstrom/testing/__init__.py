"""What mailstrom is tested with, for your own tests too.

    simulation.py     a world with mail hosts and processes: five days pass in a second (begin here)
    pytest_plugin.py  fixtures: `simulation`, and mail that is captured
    loop.py           event loops whose time jumps
    clock.py          the clock that goes with them
    network.py        hosts and connections in memory, with refusals, black holes and latency
    smtp_server.py    a scripted server, and a strict little receiving server with a ledger
    dns.py            a DNS zone as a value

Nothing here is imported by the rest of mailstrom.
"""
