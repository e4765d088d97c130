"""From a float graph to a better float graph."""
