"""Whose chest it is, and what is in it: people, thoraces, hearts and coronary trees."""
