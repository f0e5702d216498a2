"""The dashboard of a stage: its sections, one module for each subject."""
