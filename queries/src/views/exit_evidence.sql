-- Exports, and rehearsals of one, by the contract whose way out they show.
--
-- One row per contract and piece of evidence of the kinds `export` and `rehearsal` ([evidence.md](evidence.md)). What names no
-- contract counts for the one that its provider's calls fall under on its day; what names neither contract nor provider nor
-- workload is of the whole ledger and counts for each. `daybook gate` goes by this view.
--
-- - `contract`: the contract
-- - `kind`: `export`, `rehearsal`
-- - `day`: UTC day it was done
-- - `recorded_at`: when it was recorded
-- - `took_s`: seconds a rehearsal took; null if not recorded
-- - `predicted_s`: seconds the whole export will take by a rehearsal; null if not recorded
-- - `predicted_rows`: rows of the whole export, likewise
-- - `predicted_bytes`: bytes of the whole export, likewise
-- - `rows`: rows that were written; null if not recorded
-- - `bytes`: bytes that were written; null if not recorded
-- - `days_taken`: days from the request of a clause's export to its delivery; null for others
-- - `days_granted`: days the clause grants for it; null if it names none, and for others
-- - `in_time`: whether it was delivered within them; null if that is not known
-- - `artifact_sha256`: SHA-256 of what is kept as proof; null if nothing is
-- - `note`: in words
-- - `recorded_by`: who says so
WITH named AS (
    SELECT
        *,
        CASE WHEN contract IS NOT NULL THEN contract
             WHEN provider IS NOT NULL THEN contract(provider, model, event_date)
        END AS covers,
        contract IS NULL AND provider IS NULL AND workload IS NULL AS is_of_all
    FROM evidence
    WHERE kind IN ('export', 'rehearsal')
)
SELECT
    registry_contracts.contract,
    kind,
    event_date AS day,
    recorded_at,
    scores['took_s'] AS took_s,
    scores['predicted_s'] AS predicted_s,
    scores['predicted_rows']::decimal(20, 0) AS predicted_rows,
    scores['predicted_bytes']::decimal(20, 0) AS predicted_bytes,
    scores['rows']::decimal(20, 0) AS rows,
    coalesce(scores['bytes'], scores['written_bytes'])::decimal(20, 0) AS bytes,
    scores['days_taken']::decimal(20, 0) AS days_taken,
    scores['days_granted']::decimal(20, 0) AS days_granted,
    scores['days_taken'] <= scores['days_granted'] AS in_time,
    artifact_sha256,
    note,
    recorded_by
FROM named
JOIN registry_contracts ON is_of_all OR covers = registry_contracts.contract
