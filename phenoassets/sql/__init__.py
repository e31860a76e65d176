"""SQL over the tables: DuckDB views, queries, and tables written out for other tools."""
