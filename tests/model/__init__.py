"""The protocol of the queue as a small state machine, explored in every interleaving.

How a recipient is delivered by workers any of which may die at any moment, and by no two at once:

    claim       A worker takes recipients of one message that are due: a lease, so long they are its
                own, and a token that nobody had before. Written ahead: `crashes` is one higher from
                here on, and they fall due later. Whoever dies now has been counted.
    renew       The lease lasts longer. It ends by itself where nobody renews it; then others may
                claim. That alone loses nothing: who was only slow renews, or settles, as long as
                nobody has claimed in between.
    mark        Immediately before the final dot: `dot_sent`. Behind a crash it tells "perhaps
                delivered" from "surely not". Refused where the claim is lost, or a cancel or hold
                came first; without the mark no dot is written.
    dot         From here on the host may have the message. No storage is asked: the worker looks
                once more at its lease, and writes. A reply tells; without one nobody knows.
    settle      The outcome is recorded, the claim ends: delivered or failed, which never change;
                or deferred, due later, held where the tries or crashes are used up. The token must
                be the one that stands there. Where the reply to it is lost it is made again, and
                changes nothing the second time.
    give back   As if the claim had not been.

    crash       The worker forgets everything, the storage nothing. When the lease has ended, the
                next claim finds the crash counted. With `dot_sent` it settles the recipient as
                uncertain before it is tried again: a delivery too many is announced.
    cancel,     What nobody has claimed fails, or is held, at once. What is claimed is being tried:
    hold        a mark stays with it and takes effect when the claim ends without completing it,
                whether by a settle, a give-back, or never.

What follows (`invariants`): a final state is true and never changes; nobody gets it twice unless it
was said before that this may be; who was cancelled is sent nothing; tries and crashes are counted;
and from wherever it stands, everybody comes to an end or is held.

    rules            the switches: each mistake that can be planted
    state            rows, jobs, and what truly happened
    storage_rules    what each storage call does;  worker_rules: what may happen next;  truth: who notes it
    exploring        every state, breadth first;  worlds: the small worlds that are explored
    traces           ways through them that cover every step;  replaying: a storage is taken along

Read `storage_rules`, then `worker_rules`.
"""
