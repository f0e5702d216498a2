"""What the functions are put together from: clients, services and partners they share."""
