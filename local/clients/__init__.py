"""`make clients`: the Python and the TypeScript client, generated from docs/openapi.json."""
