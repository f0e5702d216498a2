"""Examples of the OpenAPI document: requests that are sent to the real functions, and recorded.

`python -m local.docs` writes runtime/api/document/examples.json. To add an operation's example, add
a step to the module of its capability.
"""
