"""What each network is for, as figures; one file a family of networks."""
