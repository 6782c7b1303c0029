"""Expressions, rule lifecycle and rulebook. *Pure.*"""
