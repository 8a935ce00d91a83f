"""The portfolio: transactions, their valuation in USD and IDR, and the net worth over time."""
