"""Venues as data plus pure functions. *Pure.*"""
