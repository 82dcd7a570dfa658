"""Elsewhere: measure, explain and close generalization gaps."""
