"""How well two readings agree: categories, scores, masks, lesions; arrays in, estimates with intervals out."""
