"""Kernels that several rooms need, each with a naive oracle in its tests."""
