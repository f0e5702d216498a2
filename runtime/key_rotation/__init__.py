"""Key rotation: re-encrypts rows under new data keys and rebuilds blind indexes."""
