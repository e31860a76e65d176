"""What a person asks of a home: set up, how plates stand, every file again, a plate renamed or removed."""
