"""Hyperliquid, decoded. *Pure.*"""
