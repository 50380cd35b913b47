"""Cases, sampling, losses, the loop and its run folder.

What the networks see is made by `calcmap.segmentation`, the same code that serves them.
"""
