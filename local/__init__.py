"""The embedded AWS: start an emulator, deploy the real CDK app into it, use it, stop it.

Everything that only the local stage needs is here, so that neither `runtime/` nor `stacks/`
depends on it.
"""
