-- Every day on which something about a contract is due.
--
-- One row per contract and deadline, past ones too.
--
-- - `contract`: the contract
-- - `vendor`: with whom
-- - `deadline`: `gate`, `notice`, `renewal`, `transition`, `retrieval`, `commitment`, `price_review`, `clause`
-- - `name`: name of the commitment, kind of the clause; null for others
-- - `due_on`: the day
-- - `usd`: US dollars of a commitment; null for others
-- - `what`: what is due, in words
WITH clauses AS (
    SELECT
        contract,
        clause,
        CASE WHEN due_on IS NOT NULL THEN due_on
             WHEN clause = 'price_review' THEN ends_on - days
             WHEN clause IN ('data_portability', 'exit_help') THEN ends_on + days
        END AS due_on,
        due_on IS NOT NULL AS is_dated
    FROM (
        SELECT registry_clauses.*, ends_on
        FROM registry_clauses
        JOIN registry_contracts ON registry_contracts.contract = registry_clauses.contract
        WHERE held
    )
),
due AS (
    SELECT contract, 'gate' AS deadline, NULL::varchar AS name, gate_on AS due_on, NULL::decimal(38, 12) AS usd,
           'Decide: renew, renegotiate or leave' AS what
    FROM registry_contracts
    UNION ALL
    SELECT contract, 'notice', NULL, notice_on, NULL, 'Last day to give notice'
    FROM registry_contracts
    UNION ALL
    SELECT contract, 'renewal', NULL, ends_on, NULL,
           CASE renewal
               WHEN 'automatic' THEN 'Last day of the term; it renews unless notice was given'
               WHEN 'manual' THEN 'Last day of the term; it ends unless both sides sign'
               ELSE 'Last day of the term'
           END
    FROM registry_contracts
    UNION ALL
    SELECT contract, 'transition', NULL, ends_on + transition_days, NULL,
           'Last day of the vendor''s help with a transition'
    FROM registry_contracts
    UNION ALL
    SELECT contract, 'retrieval', NULL, ends_on + retrieval_days, NULL, 'Last day to fetch data'
    FROM registry_contracts
    UNION ALL
    SELECT contract, 'commitment', commitment, ends_on, usd,
           CASE shortfall
               WHEN 'billed' THEN 'Last day of the commitment; what is not used is billed'
               WHEN 'forfeited' THEN 'Last day of the commitment; what is not used is lost'
               ELSE 'Last day of the commitment; what is not used rolls over'
           END
    FROM registry_commitments
    UNION ALL
    SELECT contract, CASE WHEN clause = 'price_review' THEN 'price_review' ELSE 'clause' END, clause, due_on, NULL,
           CASE WHEN is_dated THEN 'Due by the clause'
                WHEN clause = 'price_review' THEN 'Last day to ask for a review of prices'
                WHEN clause = 'data_portability' THEN 'Last day for the vendor to hand over all data'
                ELSE 'Last day of help with the exit'
           END
    FROM clauses
)
SELECT due.contract, vendor, deadline, name, due_on, usd, what
FROM due
JOIN registry_contracts ON registry_contracts.contract = due.contract
WHERE due_on IS NOT NULL
