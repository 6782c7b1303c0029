"""How trips, holds and proposals begin and end: rules, people, and the way back. *Pure.*"""
