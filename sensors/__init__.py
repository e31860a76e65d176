"""What starts runs: new exports, appended scans, changed sheets, the refresh of answers, and the command line."""
