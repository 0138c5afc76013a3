"""One account as a state model: every state that crashes, power cuts and faults can lead to."""
