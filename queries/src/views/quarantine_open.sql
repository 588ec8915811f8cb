-- Messages set aside that are not read yet.
--
-- One row per message of `quarantine` that `daybook quarantine replay` has not turned into entries. Columns are those of
-- `quarantine` ([schema.md](schema.md)).
SELECT *
FROM quarantine
WHERE NOT EXISTS (
    SELECT 1
    FROM resolutions
    WHERE resolutions.event_date = quarantine.event_date
      AND resolutions.quarantine_batch_id = quarantine.batch_id
      AND resolutions.topic = quarantine.topic
      AND resolutions.kafka_partition = quarantine.kafka_partition
      AND resolutions.kafka_offset = quarantine.kafka_offset
)
