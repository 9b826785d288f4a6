"""What mailstrom is tested with, for your own tests too.

    loop.py         an event loop whose time jumps: five days pass in milliseconds
    clock.py        the clock that goes with it
    network.py      hosts and connections in memory, with refusals, black holes and latency
    smtp_server.py  a scripted server, and a strict little receiving server with a ledger
    dns.py          a DNS zone as a value

Nothing here is imported by the rest of mailstrom.
"""
