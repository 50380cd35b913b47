"""Folders as researchers have them, turned into cases: one module a layout, ``conversion`` for all.

An adapter finds what a folder holds (`conversion.Candidate`) and reads one scan with its labels when asked;
``conversion`` adds what is missing, refuses what cannot be a case, and writes.
"""
