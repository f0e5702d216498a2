"""What a stage costs: prices, the resources of its templates, and measured uses."""
