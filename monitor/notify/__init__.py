"""From decisions to pages: what to tell, in which order, over which channel, until it arrived."""
