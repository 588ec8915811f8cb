SELECT * FROM content_recorded
UNION ALL
SELECT * EXCLUDE (status) FROM content_partial
WHERE NOT EXISTS (
        SELECT 1 FROM content_recorded
        WHERE content_recorded.event_date = content_partial.event_date AND content_recorded.entry_id = content_partial.entry_id
    )
    AND (
        status = 'incomplete'
        OR NOT EXISTS (
            SELECT 1 FROM content_partial AS later
            WHERE later.event_date = content_partial.event_date AND later.entry_id = content_partial.entry_id
                AND later.status = 'incomplete'
        )
    )
