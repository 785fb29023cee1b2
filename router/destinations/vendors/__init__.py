"""What a catalogue file cannot say in its own format: a function a file names as its `code`."""
