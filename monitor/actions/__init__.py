"""How riskd acts: the driver of the kill switch, the executors and the signer."""
