"""One home on disk: where things lie, what each table means, how tables are written, and who may write."""
