"""Fuzzing: everything that reads bytes of strangers, and text of workspaces."""
