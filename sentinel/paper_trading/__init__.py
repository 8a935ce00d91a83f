"""Paper trading: wallets that trade without real money as prices arrive."""
