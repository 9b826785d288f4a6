"""From values to octets: header fields, bodies, the whole content."""
