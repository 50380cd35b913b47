"""From tissues to a CT: protocols, blur, motion, beam and noise."""
