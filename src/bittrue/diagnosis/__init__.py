"""Why two sides differ: causes looked for in contracts, tried by experiment, and mended."""
