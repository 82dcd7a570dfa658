"""The ground floor: scores, metrics, gaps and their intervals. Needs no torch."""
