-- How ready one is to leave, by contract: what there is to take along, and whether the way out was walked.
--
-- One row per contract. A body counts as kept if `content` has it, in part or whole; what was said in other calls nobody can export. Fine-tuned
-- models are those that calls under the contract name; what was made with them counts as registered if `daybook artifacts`
-- has an artifact of that model.
--
-- - `contract`: the contract
-- - `vendor`: with whom
-- - `has_clause`: whether it has the clause `data_portability`
-- - `clause_days`: days the clause grants for the delivery; null if it names none, or there is no clause
-- - `cost_max_usd`: US dollars it may cost at most; null likewise
-- - `gate_on`: day the decision is due; null without an end
-- - `notice_on`: last day notice can be given; null if none is asked for
-- - `ends_on`: last day of the term; null if it has no end
-- - `transition_on`: last day of the vendor's help with a transition; null if not said
-- - `retrieval_on`: last day to fetch data from the vendor; null if not said
-- - `calls`: calls under it
-- - `first_day`: UTC day of the first
-- - `last_day`: UTC day of the last
-- - `bodies`: calls whose body the ledger keeps
-- - `bodies_missing`: calls whose event had a body that the ledger does not keep: taken in by digest alone, or erased
-- - `calls_without_body`: calls whose event had no body: the sender left it out, or `--capture off` did
-- - `unpriced_calls`: calls without a `list_cost`
-- - `fine_tuned_models`: fine-tuned models called
-- - `unregistered_models`: fine-tuned models, and models only the vendor has of embeddings, of which no artifact is registered
-- - `quarantined`: messages set aside and not read yet, of the whole ledger: nobody knows whose they are
-- - `rehearsed_on`: UTC day of the last rehearsal of an export; null if there was none
-- - `predicted_s`: seconds the whole export will take, by the last rehearsal that says so
-- - `predicted_rows`: rows it will have, likewise
-- - `predicted_bytes`: bytes it will have, likewise
-- - `fits_clause`: whether that is within the clause's days; null if one of both is not known
-- - `exported_on`: UTC day of the last export; null if none was recorded
-- - `exported_rows`: rows it had; null if not recorded
-- - `exported_bytes`: bytes it had; null if not recorded
-- - `exported_in_time`: whether it was in time by the clause; null if it was not by a clause
WITH under AS (
    SELECT
        contract(provider, coalesce(response_model, request_model), event_date) AS contract,
        coalesce(response_model, request_model) AS model,
        event_date,
        entry_id,
        content_sha256,
        list_cost,
        features
    FROM usage
),
counted AS (
    SELECT
        contract,
        count(*) AS calls,
        min(event_date) AS first_day,
        max(event_date) AS last_day,
        count(content_sha256) AS with_body,
        count(*) - count(list_cost) AS unpriced_calls,
        count(DISTINCT CASE WHEN array_has(features, 'fine_tuned_model') THEN model END) AS fine_tuned_models,
        count(DISTINCT CASE WHEN array_has_any(features, ['fine_tuned_model', 'proprietary_embedding'])
                             AND NOT coalesce(array_has((SELECT array_agg(DISTINCT model) FROM evidence WHERE kind = 'artifact'), model), false)
                            THEN model END) AS unregistered_models
    FROM under
    WHERE contract IS NOT NULL
    GROUP BY contract
),
kept AS (
    SELECT contract, count(*) AS bodies
    FROM under
    WHERE contract IS NOT NULL
      AND content_sha256 IS NOT NULL
      AND EXISTS (
          SELECT 1 FROM content WHERE content.event_date = under.event_date AND content.entry_id = under.entry_id
      )
    GROUP BY contract
),
ranked AS (
    SELECT
        *,
        row_number() OVER (PARTITION BY contract, kind, predicted_s IS NULL ORDER BY day DESC, recorded_at DESC) AS rank
    FROM exit_evidence
),
walked AS (
    SELECT
        contract,
        max(day) FILTER (WHERE kind = 'rehearsal') AS rehearsed_on,
        max(predicted_s) FILTER (WHERE kind = 'rehearsal' AND rank = 1) AS predicted_s,
        max(predicted_rows) FILTER (WHERE kind = 'rehearsal' AND rank = 1) AS predicted_rows,
        max(predicted_bytes) FILTER (WHERE kind = 'rehearsal' AND rank = 1) AS predicted_bytes,
        max(day) FILTER (WHERE kind = 'export') AS exported_on,
        max(rows) FILTER (WHERE kind = 'export' AND rank = 1) AS exported_rows,
        max(bytes) FILTER (WHERE kind = 'export' AND rank = 1) AS exported_bytes,
        bool_and(in_time) FILTER (WHERE kind = 'export' AND rank = 1) AS exported_in_time
    FROM ranked
    GROUP BY contract
),
clauses AS (
    SELECT contract, days, cost_max_usd
    FROM registry_clauses
    WHERE clause = 'data_portability' AND held
)
SELECT
    registry_contracts.contract,
    vendor,
    clauses.contract IS NOT NULL AS has_clause,
    days AS clause_days,
    cost_max_usd,
    gate_on,
    notice_on,
    ends_on,
    ends_on + transition_days AS transition_on,
    ends_on + retrieval_days AS retrieval_on,
    coalesce(calls, 0) AS calls,
    first_day,
    last_day,
    coalesce(bodies, 0) AS bodies,
    coalesce(with_body, 0) - coalesce(bodies, 0) AS bodies_missing,
    coalesce(calls, 0) - coalesce(with_body, 0) AS calls_without_body,
    coalesce(unpriced_calls, 0) AS unpriced_calls,
    coalesce(fine_tuned_models, 0) AS fine_tuned_models,
    coalesce(unregistered_models, 0) AS unregistered_models,
    quarantined,
    rehearsed_on,
    predicted_s,
    predicted_rows,
    predicted_bytes,
    predicted_s <= days * 86400 AS fits_clause,
    exported_on,
    exported_rows,
    exported_bytes,
    exported_in_time
FROM registry_contracts
LEFT JOIN clauses ON clauses.contract = registry_contracts.contract
LEFT JOIN counted ON counted.contract = registry_contracts.contract
LEFT JOIN kept ON kept.contract = registry_contracts.contract
LEFT JOIN walked ON walked.contract = registry_contracts.contract
CROSS JOIN (SELECT count(*) AS quarantined FROM quarantine_open)
