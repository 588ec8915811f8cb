SELECT * FROM usage_recorded WHERE entry_id NOT IN (SELECT entry_id FROM corrections)
UNION ALL
SELECT * EXCLUDE (place) FROM (
    SELECT *, row_number() OVER (
        PARTITION BY entry_id
        ORDER BY
            CASE status WHEN 'pending' THEN 0 WHEN 'incomplete' THEN 1 ELSE 2 END DESC,
            (input_tokens IS NOT NULL OR output_tokens IS NOT NULL) DESC,
            ingested_at DESC
    ) AS place
    FROM corrections
)
WHERE place = 1
