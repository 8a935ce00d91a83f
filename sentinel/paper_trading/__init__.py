"""Wallets that trade with paper money as prices arrive."""
