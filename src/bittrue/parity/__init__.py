"""How far two stages are apart, and where they part."""
