"""Levels of the kill switch; the machine and the planner will live here. *Pure.*"""
