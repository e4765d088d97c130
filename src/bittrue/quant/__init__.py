"""Which codes stand for which values."""
