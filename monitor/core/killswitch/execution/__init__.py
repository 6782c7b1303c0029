"""How a trip is carried out: cancel, verify, plan, cut, verify again. *Pure.*"""
