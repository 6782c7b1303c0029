"""The same engine over recorded history, with a simulated book that follows its rules."""
