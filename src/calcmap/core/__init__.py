"""Types that every room shares; no algorithms, nothing but numpy."""
