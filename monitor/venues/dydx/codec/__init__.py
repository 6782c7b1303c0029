"""dYdX v4 wire shapes and what they say, by subject. *Pure.*"""
