"""`make load`: real HTTP clients against a stage, and every answer checked afterwards."""
