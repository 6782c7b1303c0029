"""The kill path of a whole daemon, end to end, against the simulated venues."""
