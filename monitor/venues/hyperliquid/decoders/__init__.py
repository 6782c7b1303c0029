"""Typed decoders of Hyperliquid's frames and bodies. *Pure.*"""
