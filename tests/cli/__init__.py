"""The command line: exit codes, output, messages and help of every command."""
