"""The kill switch: its levels, book, planner and state machine. *Pure.*"""
