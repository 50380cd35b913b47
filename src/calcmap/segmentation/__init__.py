"""What the networks see, how they are run, and what their output becomes on the CT's own grid."""
