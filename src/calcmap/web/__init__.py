"""The review page: routes over `calcmap.service`, and the page itself. No score is computed here."""
