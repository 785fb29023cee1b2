"""The workspace: a folder of TOML and JSON files, the router's only configuration."""
