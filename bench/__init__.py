"""Benchmarks: networks through every stage, and their tasks' own figures."""
