"""``popsync demo``: generated mail through the bundled server, and the proof that it arrived."""
