//! Each format, byte for byte.

use std::io::{Error as IoError, ErrorKind, Write};

use daybook_ledger::Report as _;
use daybook_queries::{Drawing, Format, Rendered, Session, render};

use crate::fixture;

async fn drawn(session: &Session, drawing: Drawing, sql: &str) -> Vec<String> {
    let mut out = Vec::new();
    render(session.run(sql).await.unwrap(), Format::Table, drawing, &mut out).await.unwrap();
    String::from_utf8(out).unwrap().lines().map(String::from).collect()
}

async fn rendered(session: &Session, format: Format, sql: &str) -> String {
    let mut out = Vec::new();
    render(session.run(sql).await.unwrap(), format, Drawing::default(), &mut out).await.unwrap();
    String::from_utf8(out).unwrap()
}

const SPEND: &str =
    "SELECT day, provider, input_tokens, list_cost FROM spend_by_day WHERE day = '2026-11-19' ORDER BY provider";
const CALL: &str =
    "SELECT entry_id, started_at, streamed, features, tags, team, list_cost FROM usage WHERE event_id = 'a1'";

#[tokio::test]
async fn a_table_aligns_numbers_and_says_null() {
    let session = fixture::open(&fixture::company().await).await;
    let expected = [
        " day        | provider   | input_tokens | list_cost",
        "------------+------------+--------------+-----------",
        " 2026-11-19 | openai     |           10 |   0.00001",
        " 2026-11-19 | selfhosted |          700 |      NULL",
    ];
    assert_eq!(rendered(&session, Format::Table, SPEND).await.lines().collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn a_table_leaves_out_places_that_are_zero_in_every_row() {
    let session = fixture::open(&fixture::empty().await).await;
    let sql = "SELECT CAST(usd AS DECIMAL(38, 12)) AS usd, CAST(n AS DECIMAL(9, 0)) AS n \
               FROM (VALUES ('100', '100'), ('0.5', '20'), (NULL, NULL)) AS t(usd, n)";
    let expected = ["    usd |    n", "--------+------", " 100.00 |  100", "   0.50 |   20", "   NULL | NULL"];
    let text = rendered(&session, Format::Table, sql).await;
    assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    let csv = rendered(&session, Format::Csv, sql).await;
    assert!(csv.starts_with("usd,n\n100.000000000000,100\n"), "{csv}");
}

#[tokio::test]
async fn a_table_wider_than_the_screen_becomes_a_block_of_lines_for_each_row() {
    let session = fixture::open(&fixture::company().await).await;
    let width = "------------+------------+--------------+-----------".len();
    let as_wide = |width_max| Drawing { width_max, ..Drawing::default() };
    assert_eq!(drawn(&session, as_wide(width), SPEND).await.len(), 4, "it fits");
    let expected = [
        "day:          2026-11-19",
        "provider:     openai",
        "input_tokens: 10",
        "list_cost:    0.00001",
        "",
        "day:          2026-11-19",
        "provider:     selfhosted",
        "input_tokens: 700",
        "list_cost:    NULL",
    ];
    assert_eq!(drawn(&session, as_wide(width - 1), SPEND).await, expected);
}

#[tokio::test]
async fn rounded_money_keeps_two_digits_that_count_and_its_points_below_each_other() {
    let session = fixture::open(&fixture::empty().await).await;
    let sql = "SELECT usd::decimal(38, 12) AS cost, n::decimal(38, 6) AS n FROM \
               (VALUES ('266.471635529688', 0.123456), ('-0.012345', 1), ('0', 2), (NULL, 3)) AS t(usd, n)";
    let rounded = Drawing { rounded: true, ..Drawing::default() };
    let expected = [
        "    cost |        n",
        "---------+----------",
        " 266.47  | 0.123456",
        "  -0.012 | 1.000000",
        "   0.00  | 2.000000",
        "    NULL | 3.000000",
    ];
    assert_eq!(drawn(&session, rounded, sql).await, expected);
}

#[tokio::test]
async fn what_a_map_counts_has_no_zeros_at_its_end() {
    let session = fixture::open(&fixture::empty().await).await;
    let sql = "SELECT map(['bytes', 'score'], [13468343::decimal(38, 12), 0.92::decimal(38, 12)]) AS scores";
    let expected = "[{\"scores\":{\"bytes\":\"13468343\",\"score\":\"0.92\"}}]\n";
    assert_eq!(rendered(&session, Format::Json, sql).await, expected);
    assert!(rendered(&session, Format::Table, sql).await.contains("{\"bytes\":\"13468343\",\"score\":\"0.92\"}"));
}

#[tokio::test]
async fn a_table_shows_so_many_rows_and_counts_the_others() {
    let session = fixture::open(&fixture::company().await).await;
    for (rows_max, rows, left_out) in [(8, 8, 1), (9, 9, 0), (0, 0, 9)] {
        let mut out = Vec::new();
        let rows_of = session.run("SELECT event_id FROM usage").await.unwrap();
        let done = render(rows_of, Format::Table, Drawing { rows_max, ..Drawing::default() }, &mut out).await.unwrap();
        assert_eq!(done, Rendered { rows, left_out });
        assert_eq!(out.iter().filter(|byte| **byte == b'\n').count() as u64, rows + 2);
    }
}

#[tokio::test]
async fn a_table_shows_control_characters_instead_of_obeying_them() {
    let session = fixture::open(&fixture::empty().await).await;
    let text = rendered(&session, Format::Table, "SELECT 'a' || chr(27) || '[2J' AS x").await;
    assert!(text.contains("a\\u{1b}[2J"), "{text:?}");
}

#[tokio::test]
async fn values_are_exact_in_every_text_format() {
    let session = fixture::open(&fixture::company().await).await;
    let id = "3db8a1f2aed77c23cb6195708e593a9c";
    assert_eq!(
        rendered(&session, Format::Csv, CALL).await,
        format!(
            "entry_id,started_at,streamed,features,tags,team,list_cost\n\
             {id},2026-11-18T08:00:00.123456Z,,\"[\"\"tool_calling\"\",\"\"structured_output\"\"]\",{{}},search,0.003000000000\n"
        )
    );
    assert_eq!(
        rendered(&session, Format::Ndjson, CALL).await,
        format!(
            "{{\"entry_id\":\"{id}\",\"started_at\":\"2026-11-18T08:00:00.123456Z\",\"streamed\":null,\
             \"features\":[\"tool_calling\",\"structured_output\"],\"tags\":{{}},\"team\":\"search\",\
             \"list_cost\":\"0.003000000000\"}}\n"
        )
    );
    assert_eq!(
        rendered(&session, Format::Tsv, SPEND).await,
        "day\tprovider\tinput_tokens\tlist_cost\n2026-11-19\topenai\t10\t0.000010000000\n2026-11-19\tselfhosted\t700\t\n"
    );
    assert_eq!(
        rendered(&session, Format::Json, SPEND).await,
        "[{\"day\":\"2026-11-19\",\"provider\":\"openai\",\"input_tokens\":10,\"list_cost\":\"0.000010000000\"},\
         {\"day\":\"2026-11-19\",\"provider\":\"selfhosted\",\"input_tokens\":700,\"list_cost\":null}]\n"
    );
}

#[tokio::test]
async fn a_result_without_rows_is_whole() {
    let session = fixture::open(&fixture::empty().await).await;
    let sql = "SELECT team, features FROM usage";
    assert_eq!(rendered(&session, Format::Csv, sql).await, "team,features\n");
    assert_eq!(rendered(&session, Format::Json, sql).await, "[]\n");
    assert_eq!(rendered(&session, Format::Ndjson, sql).await, "");
    assert_eq!(rendered(&session, Format::Table, sql).await, " team | features\n------+----------\n");
}

#[tokio::test]
async fn a_parquet_file_holds_every_column_of_a_table() {
    let session = fixture::open(&fixture::company().await).await;
    let mut out = Vec::new();
    let rows = session.run("SELECT * FROM usage ORDER BY event_id").await.unwrap();
    let schema = rows.schema();
    assert_eq!(
        render(rows, Format::Parquet, Drawing::default(), &mut out).await.unwrap(),
        Rendered { rows: 9, left_out: 0 }
    );
    let reader =
        parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(out)).unwrap();
    assert_eq!(reader.schema().fields(), schema.fields());
    let read: Vec<_> = reader.build().unwrap().map(Result::unwrap).collect();
    let same = session.run("SELECT * FROM usage ORDER BY event_id").await.unwrap().collect().await.unwrap();
    assert_eq!(
        arrow::compute::concat_batches(&schema, &read).unwrap(),
        arrow::compute::concat_batches(&schema, &same).unwrap()
    );
}

/// Fails every write with an error of one kind.
struct Failing(ErrorKind);

impl Write for Failing {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        Err(IoError::from(self.0))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_closed_pipe_ends_a_query_without_error_and_a_full_disk_does_not() {
    let session = fixture::open(&fixture::company().await).await;
    for format in Format::ALL {
        let sql = "SELECT value FROM generate_series(1, 100000)";
        let rows = session.run(sql).await.unwrap();
        render(rows, format, Drawing::default(), &mut Failing(ErrorKind::BrokenPipe)).await.unwrap();
        let rows = session.run(sql).await.unwrap();
        let error = render(rows, format, Drawing::default(), &mut Failing(ErrorKind::StorageFull)).await.unwrap_err();
        assert_eq!(error.code(), "QUERIES-015", "{format}");
    }
}

#[test]
fn formats_are_named_as_on_the_command_line() {
    for format in Format::ALL {
        assert_eq!(format.as_str().parse(), Ok(format));
    }
    assert_eq!("xml".parse::<Format>().unwrap_err().to_string(), "`xml` is not a format");
}
