"""Slides from the stored chapters: what is chosen (`choose`), and how a deck is made (`deck`)."""
