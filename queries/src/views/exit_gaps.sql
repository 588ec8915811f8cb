-- What is missing for a way out, by contract.
--
-- One row per contract and gap; none for what is in order. What counts as missing is in `exit_readiness`.
--
-- - `contract`: the contract
-- - `gap`: `no_clause`, `no_deadline`, `never_rehearsed`, `too_slow`, `never_exported`, `no_calls`, `bodies_missing`,
--   `calls_without_body`, `unpriced`, `artifacts_unregistered`, `quarantined`
-- - `number`: how many: calls, models or messages; null where it is yes or no
-- - `share`: part of the contract's calls, 0 to 1; null where calls are not what is counted
-- - `what`: what is missing, and what to do
-- - `position`: the order in which gaps are read
WITH gaps(position, gap, what) AS (
    VALUES
        (1, 'no_clause', 'The contract has no clause data_portability: nothing obliges the vendor to hand data over'),
        (2, 'no_deadline', 'The clause data_portability names no days: nobody is ever late'),
        (3, 'never_rehearsed', 'Nobody knows how long an export takes: daybook export --contract NAME --rehearse --out DIR'),
        (4, 'too_slow', 'The whole export takes longer than the clause grants'),
        (5, 'never_exported', 'No export is recorded: daybook export --clause NAME --out DIR'),
        (6, 'no_calls', 'The ledger has no call under the contract: check its providers in contracts.toml'),
        (7, 'bodies_missing', 'Had a body that the ledger does not keep: taken in with --capture digest, or erased'),
        (8, 'calls_without_body', 'Came without a body, or were taken in with --capture off'),
        (9, 'unpriced', 'Have no price, or no usage: daybook prices check --ledger DIR says what is missing'),
        (10, 'artifacts_unregistered',
         'Models of which nothing is registered (sets they were tuned on, weights, vectors they made): daybook artifacts add --model'),
        (11, 'quarantined', 'Messages of the whole ledger that were set aside: daybook quarantine list')
),
counted AS (
    SELECT
        exit_readiness.*,
        position,
        gap,
        what,
        CASE gap WHEN 'bodies_missing' THEN bodies_missing
                 WHEN 'calls_without_body' THEN calls_without_body
                 WHEN 'unpriced' THEN unpriced_calls
                 WHEN 'artifacts_unregistered' THEN unregistered_models
                 WHEN 'quarantined' THEN quarantined
        END AS number
    FROM exit_readiness
    CROSS JOIN gaps
)
SELECT
    contract,
    gap,
    number,
    CASE WHEN gap IN ('bodies_missing', 'calls_without_body', 'unpriced')
         THEN (number::decimal(20, 6) / nullif(calls, 0)::decimal(20, 0))::decimal(9, 6)
    END AS share,
    what,
    position
FROM counted
WHERE CASE gap WHEN 'no_clause' THEN NOT has_clause
               WHEN 'no_deadline' THEN has_clause AND clause_days IS NULL
               WHEN 'never_rehearsed' THEN rehearsed_on IS NULL
               WHEN 'too_slow' THEN NOT fits_clause
               WHEN 'never_exported' THEN exported_on IS NULL
               WHEN 'no_calls' THEN calls = 0
               ELSE number > 0
      END
