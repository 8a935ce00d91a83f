"""Routes by noun. A route reads its parameters, asks the store, and shapes the answer."""
