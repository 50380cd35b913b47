"""The node's memory and the physician's review: store, edits, audit; knows no HTML."""
