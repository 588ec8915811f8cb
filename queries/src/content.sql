SELECT * FROM content_recorded
UNION ALL
SELECT content_partial.* EXCLUDE (status)
FROM (
    SELECT event_date, entry_id, min(status) AS status -- 'incomplete' before 'pending'
    FROM content_partial
    WHERE NOT EXISTS (
        SELECT 1 FROM content_recorded
        WHERE content_recorded.event_date = content_partial.event_date AND content_recorded.entry_id = content_partial.entry_id
    )
    GROUP BY event_date, entry_id
) AS holding
JOIN content_partial
    ON content_partial.event_date = holding.event_date
    AND content_partial.entry_id = holding.entry_id
    AND content_partial.status = holding.status
