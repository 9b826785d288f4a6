"""From octets to values: the strict readers."""
