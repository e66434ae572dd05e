//! Checks a recorded history for causal consistency with convergence
