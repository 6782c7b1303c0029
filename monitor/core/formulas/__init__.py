"""Risk formulas: numbers in, numbers out. *Pure.*"""
