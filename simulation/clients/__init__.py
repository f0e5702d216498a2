"""What merchants, operators and banks do in the simulated world."""
