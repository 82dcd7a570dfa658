"""Changes to data, training, weights or predictions that should close a gap."""
