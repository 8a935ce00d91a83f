-- The view that people query, and the only object outside the schema `sentinel`. It is created
-- again after every migration. A partition is dropped as a whole, so a day that is partly older
-- than the retention is still stored; the view ends at 60 days to the second.
CREATE OR REPLACE VIEW public.market_data AS
SELECT c.coin_id, c.symbol, o.price_usd AS price, o.market_cap_usd AS market_cap,
       o.volume_24h_usd AS volume_24h, o.observed_at AS "timestamp", o.source
FROM sentinel.observations o
JOIN sentinel.coins c USING (coin_key)
WHERE o.observed_at >= now() - interval '60 days';

COMMENT ON VIEW public.market_data IS 'Market Sentinel: prices of the last 60 days';
