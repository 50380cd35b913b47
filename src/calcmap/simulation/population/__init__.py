"""Who is in a cohort: clinical tables, readers and outcomes."""
