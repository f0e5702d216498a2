"""The HTTP API as a whole: every route, its OpenAPI document, its documentation page."""
