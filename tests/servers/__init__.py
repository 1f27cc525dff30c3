"""Real servers on the loopback address that the tests talk to over the network."""
