"""The measures: one named number about one subject each. *Pure.*"""
