"""Where mail goes: pure rules from DNS answers to the hosts to try, in order, or to a failure.

    mx           the values, and the order of the hosts (RFC 5321 section 5.1, RFC 7505)
    addresses    which addresses of a host may be tried, in which order; address literals
"""
