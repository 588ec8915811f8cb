/* The 15 queries of peer_duckdb_query.py in the ledger's own column names, for both engines over the same files: `t` is
   `usage`. What the peer calls id, start_ts, team_id, key_alias, user_id, cost_usd, prompt_tokens, completion_tokens,
   cached_tokens and ttft_us is event_id, started_at, team, api_key_alias, end_user, reported_cost, input_tokens,
   output_tokens, cache_read_input_tokens and ttft_ms here; a key's hash is not kept, so 08 counts aliases. The 16th has
   a filter by day and is reported apart. */
-- 01_count
SELECT count(*) AS n FROM t ;
-- 02_total_cost
SELECT sum(reported_cost) AS c, sum(input_tokens) AS p, sum(output_tokens) AS o FROM t ;
-- 03_by_provider
SELECT provider, count(*) AS n, sum(reported_cost) AS c FROM t GROUP BY provider;
-- 04_by_team_model
SELECT team, response_model, count(*) AS n, sum(reported_cost) AS c, sum(input_tokens + output_tokens) AS tk
FROM t GROUP BY team, response_model ORDER BY c DESC NULLS LAST, team, response_model LIMIT 50;
-- 05_one_key_lookup
SELECT count(*) AS n, sum(reported_cost) AS c FROM t WHERE api_key_alias = 'key-01234';
-- 06_point_by_id
SELECT event_id, reported_cost, response_model FROM t WHERE event_id = (SELECT max(event_id) FROM t );
-- 07_time_range_hourly
SELECT date_trunc('minute', started_at) AS h, count(*) AS n, sum(reported_cost) AS c FROM t GROUP BY 1 ORDER BY 1 LIMIT 200;
-- 08_distinct_keys
SELECT count(DISTINCT api_key_alias) AS k, count(DISTINCT end_user) AS e, count(DISTINCT event_id) AS i FROM t ;
-- 09_top_users
SELECT end_user, sum(reported_cost) AS c FROM t GROUP BY end_user ORDER BY c DESC NULLS LAST, end_user LIMIT 20;
-- 10_errors
SELECT provider, response_model, count(*) AS n FROM t WHERE status = 'error' GROUP BY provider, response_model;
-- 11_cached_share
SELECT response_model, sum(cache_read_input_tokens) AS ct, sum(input_tokens) AS pt
FROM t WHERE cache_read_input_tokens > 0 GROUP BY response_model;
-- 12_like_model
SELECT count(*) AS n, sum(output_tokens) AS o FROM t WHERE response_model LIKE '%claude%' AND status = 'success';
-- 13_dup_check
SELECT count(*) AS n FROM (SELECT event_id FROM t GROUP BY event_id HAVING count(*) > 1) x;
-- 14_max_latency
SELECT response_model, max(ttft_ms) AS m, min(ttft_ms) AS mi FROM t WHERE streamed GROUP BY response_model;
-- 15_wide_topn
SELECT event_id, started_at, team, response_model, reported_cost, input_tokens, output_tokens
FROM t ORDER BY reported_cost DESC NULLS LAST, event_id LIMIT 100;
-- 16_one_day
SELECT response_model, count(*) AS n, sum(reported_cost) AS c FROM t WHERE event_date = DATE '2025-10-11' GROUP BY response_model;
