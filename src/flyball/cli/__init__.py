"""The command line: a thin layer over the HTTP client, and the commands that start processes."""
