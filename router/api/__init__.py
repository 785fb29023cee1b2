"""The control port: metrics, health, and the API that the command line and the console use."""
