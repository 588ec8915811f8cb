SELECT * FROM usage_recorded
WHERE NOT EXISTS (
    SELECT 1 FROM corrections
    WHERE corrections.event_date = usage_recorded.event_date AND corrections.entry_id = usage_recorded.entry_id
)
UNION ALL
SELECT * EXCLUDE (place) FROM (
    SELECT *, row_number() OVER (
        PARTITION BY event_date, entry_id
        ORDER BY
            CASE status WHEN 'pending' THEN 0 WHEN 'incomplete' THEN 1 ELSE 2 END DESC,
            (input_tokens IS NOT NULL OR output_tokens IS NOT NULL) DESC,
            ingested_at DESC
    ) AS place
    FROM corrections
)
WHERE place = 1
