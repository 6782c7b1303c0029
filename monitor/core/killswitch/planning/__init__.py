"""The parts of the planner: legs, prices, pairs, lots, and what could not be done. *Pure.*"""
