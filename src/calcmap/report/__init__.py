"""Results as people see them: pictures and files; nothing is computed anew here."""
