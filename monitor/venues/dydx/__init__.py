"""dYdX v4, decoded. *Pure.*"""
