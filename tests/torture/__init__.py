"""Killing the processes of a queue, and counting its mail from outside.

    make torture                    the whole of it, about half an hour
    make torture SHORT=1            a tenth of it, as CI does

The oracle stands outside: it has the ids that `send_email` returned, through a pipe, and what the
receiving server took. The queue is only asked, at the end, what it would tell its user.
"""
