"""Parts of the OpenAPI document. Imported when it is first asked for, never by a cold start."""
