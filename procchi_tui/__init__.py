"""The face of Procchi: the full-screen session, and the `procchi` command line."""
