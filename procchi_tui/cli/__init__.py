"""The `procchi` command line: it asks the engine, and prints. See docs/DESIGN.md for the words."""
