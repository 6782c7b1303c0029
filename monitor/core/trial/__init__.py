"""Unit tests of rules: series of measures in, states and requests of the real rules out. *Pure.*"""
