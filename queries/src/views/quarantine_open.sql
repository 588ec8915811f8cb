-- Messages set aside that are not read yet.
--
-- One row per message of `quarantine` that `daybook quarantine replay` has not turned into entries.
--
-- - `event_date`: UTC day of the message's own time
-- - `batch_id`: the commit that brought the row
-- - `quarantined_at`: when it was set aside
-- - `topic`: Kafka topic, or the file it was read from
-- - `kafka_partition`: partition of the topic
-- - `kafka_offset`: offset in the partition, or the record's number in the file
-- - `kafka_timestamp`: the message's own time
-- - `key`: the message's key
-- - `value`: the message's value, whole
-- - `headers`: the message's headers
-- - `format`: the format it was read as, if one was chosen
-- - `error_code`: why, stable (docs/errors.md)
-- - `error_message`: why, in words
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
