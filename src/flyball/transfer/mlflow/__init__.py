"""What MLflow keeps, read from its folder or its server; its database is read in `transfer/sql`."""
