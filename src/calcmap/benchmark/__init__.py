"""Time and memory of one study, step by step, beside the published network's layout and a U-Net in the same run.

Whatever is measured runs in a process of its own, so that no measurement carries the memory of another.
"""
