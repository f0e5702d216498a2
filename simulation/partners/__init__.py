"""Partners outside AWS: processors, and merchants' webhook endpoints."""
