"""What a network is: nodes, values, operators and their reference."""
