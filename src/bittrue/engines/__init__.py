"""Anything that runs a stage."""
