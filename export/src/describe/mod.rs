//! What a bundle says about itself: Data Package descriptor, Croissant, summary, schema, README and BagIt tags.

mod croissant;

use std::fmt::Write as _;

use daybook_ledger::ColumnKind as Kind;
use daybook_ledger::schema::Column;
use serde_json::{Map, Value, json};

use crate::digest::Written;
use crate::format::{HEX_COLUMNS, Shard, TextColumn, text_columns};
use crate::migrate::{Destination, Migrated, Migration};
use crate::select::Window;
use crate::source::{Pin, Plan};
use crate::{Format, Part, Request, Scope};

pub(crate) const BAGIT_TEXT: &str = "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n";
pub(crate) const BAG_INFO: &str = "bag-info.txt";
pub(crate) const DESCRIPTOR: &str = "data/datapackage.json";
pub(crate) const README: &str = "data/README.md";
pub(crate) const SCHEMA: &str = "data/schema.md";
pub(crate) const CROISSANT: &str = "data/croissant.json";
/// They read the Parquet files, and lie above `data/`, where Python may leave its cache without a difference.
pub(crate) const PROGRAMS: [(&str, &str); 2] =
    [("read.py", include_str!("read.py")), ("vectors.py", include_str!("vectors.py"))];
pub(crate) const SUMMARY: &str = "data/summary.json";
/// In [`SUMMARY`], if texts in CSV have a shield.
pub(crate) const FORMULA_SAFE: &str = "csv_formula_safe";
/// The form of `summary.json` and of the folders; a reader refuses what it does not know.
pub(crate) const LAYOUT: &str = "daybook-bundle/3";
/// The form before it, without `content_partial`.
pub(crate) const LAYOUT_BEFORE: &str = "daybook-bundle/2";
pub(crate) const PAYLOAD_OXUM: &str = "Payload-Oxum";
const SOFTWARE: &str = concat!("daybook ", env!("CARGO_PKG_VERSION"));

/// Everything the descriptions are made from.
#[derive(Debug)]
pub(crate) struct Description<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) window: Window,
    pub(crate) scope: &'a Scope,
    pub(crate) shards: &'a [(Part, Format, Shard)],
    pub(crate) migrated: &'a [(Migration, Migrated)],
    pub(crate) rates: Option<&'a Shard>,
    pub(crate) rows: &'a [(Part, u64)],
}

/// `summary.json` without the totals of the tables.
pub(crate) fn summary(plan: &Plan, window: Window, request: &Request, formats: &[Format]) -> Map<String, Value> {
    let version = |pin: &Pin| {
        let value = json!({"version": pin.version.0, "committed_at": pin.committed_at.to_string()});
        (pin.part.name().to_owned(), value)
    };
    let fields = json!({
        "layout": LAYOUT,
        "written_by": SOFTWARE,
        "ledger_id": plan.ledger_id,
        "tables": plan.pins.iter().map(version).collect::<Map<_, _>>(),
        "window": {
            "column": "usage.started_at",
            "from": window.from.map(|from| from.to_string()),
            "before": window.to.map(|to| to.to_string()),
        },
        "scope": request.scope.to_json(),
        "categories": categories(&request.scope, request.with_artifacts),
        "artifacts": if request.with_artifacts { "carried" } else { "referenced" },
        "formats": formats.iter().map(|format| format.as_str()).collect::<Vec<_>>(),
    });
    let mut fields = match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    if request.is_formula_safe {
        fields.insert(FORMULA_SAFE.into(), true.into());
    }
    if let Some(sample) = &plan.sample {
        fields.insert("rehearsal".into(), json!({"percent": sample.percent, "at": sample.at.to_string()}));
    }
    fields
}

/// What there is to port, and what of it is in the bundle (Regulation (EU) 2023/2854, article 25).
fn categories(scope: &Scope, with_artifacts: bool) -> Vec<Value> {
    let of_part = |part: Part| match scope.exemption(part) {
        None => json!({"category": part.name(), "what": part.meaning(), "exported": true}),
        Some(reason) => json!({"category": part.name(), "what": part.meaning(), "exported": false, "why_not": reason}),
    };
    let others =
        BESIDE_THE_TABLES.map(|(category, reason)| json!({"category": category, "exported": false, "why_not": reason}));
    Part::ALL.into_iter().map(of_part).chain([artifacts(scope, with_artifacts)]).chain(others).collect()
}

/// Files that `evidence` says the place of.
fn artifacts(scope: &Scope, are_carried: bool) -> Value {
    const WHAT: &str = "registered training sets, weights, evaluation suites, embeddings, prompt templates";
    let why_not = match scope.exemption(Part::Evidence) {
        Some(reason) => reason,
        None if are_carried => {
            let note =
                "those that are registered under a URL stay there: artifacts/index.json has their place and SHA-256";
            return json!({"category": "artifacts", "what": WHAT, "exported": true, "note": note});
        }
        None => {
            "artifacts/index.json, if any are registered, has their place and SHA-256; `--with-artifacts` carries them"
        }
    };
    json!({"category": "artifacts", "what": WHAT, "exported": false, "why_not": why_not})
}

/// What a ledger has beside its tables, or a company beside its ledger.
const BESIDE_THE_TABLES: [(&str, &str); 2] = [
    ("reading positions", "where this installation stands in Kafka; each row has its own topic, partition and offset"),
    ("seals", "proofs about the ledger stay with it; `daybook prove` gives one for any entry"),
];

pub(crate) fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

impl Description<'_> {
    fn usage_pin(&self) -> Option<&Pin> {
        self.plan.pins.iter().find(|pin| pin.part == Part::Usage)
    }

    fn window_text(&self) -> String {
        let end = |instant: Option<daybook_ledger::Instant>| instant.map_or("..".into(), |instant| instant.to_string());
        format!("{}/{}", end(self.window.from), end(self.window.to))
    }

    /// Data Package v2. Only CSV is declared as a table: readers in use refuse digests on Parquet tables and cannot read
    /// lists in them; as a file each is checked byte by byte.
    pub(crate) fn data_package(&self) -> Value {
        let tables = self.shards.iter().map(|(part, format, shard)| resource(*part, *format, shard));
        let migrated = self.migrated.iter().flat_map(|(migration, migrated)| {
            migrated.shards.iter().map(|shard| migration_resource(migration.destination, shard))
        });
        let rates = self.rates.map(|shard| file_resource(Format::Csv, shard));
        let resources: Vec<Value> = tables.chain(migrated).chain(rates).collect();
        json!({
            "$schema": "https://datapackage.org/profiles/2.0/datapackage.json",
            "name": "daybook-bundle",
            "id": self.identifier(),
            "title": "AI usage from a Daybook ledger",
            "description": "Entries of AI calls, what was said in them, and what explains them. README.md says how to check and read it, summary.json has counts and sums.",
            "created": self.usage_pin().map(|pin| pin.committed_at.to_string()),
            "resources": resources,
        })
    }

    /// For machine learning tools.
    pub(crate) fn croissant(&self) -> Value {
        croissant::croissant(self)
    }

    fn identifier(&self) -> String {
        let version = self.usage_pin().map_or(0, |pin| pin.version.0);
        let scope = match self.scope.is_everything() {
            true => String::new(),
            false => format!(":{}", self.scope.to_json()),
        };
        format!("daybook:{}:usage@{version}:{}{scope}", self.plan.ledger_id, self.window_text())
    }

    /// The bagging date is that of the version, so that the same version gives the same bytes.
    pub(crate) fn bag_info(&self, payload: &[Written]) -> String {
        let bytes: u64 = payload.iter().map(|file| file.bytes).sum();
        let mut text = String::new();
        let mut label = |name: &str, value: &dyn std::fmt::Display| {
            writeln!(text, "{name}: {value}").ok();
        };
        label("Bag-Software-Agent", &SOFTWARE);
        if let Some(pin) = self.usage_pin() {
            label("Bagging-Date", &pin.committed_at.date());
        }
        label("External-Identifier", &self.identifier());
        label("External-Description", &"Entries of AI calls with their bodies, from a Daybook ledger");
        label(PAYLOAD_OXUM, &format_args!("{bytes}.{}", payload.len()));
        label("Daybook-Ledger-Id", &self.plan.ledger_id);
        for pin in &self.plan.pins {
            let (first, rest) = pin.part.name().split_at(1);
            label(&format!("Daybook-{}{rest}-Version", first.to_uppercase()), &pin.version);
        }
        label("Daybook-Window", &self.window_text());
        text
    }

    /// `README.md`, for somebody who has never heard of Daybook.
    pub(crate) fn readme(&self, formats: &[Format], is_formula_safe: bool) -> String {
        let version = self.usage_pin().map_or(0, |pin| pin.version.0);
        let mut text = format!(
            "# A bundle of AI usage\n\n\
             Written by {SOFTWARE} from version {version} of the ledger {}.\n\
             Window on `started_at`, half-open (first instant in / first instant out, `..` is open): {}\n{}\n\
             | table | what a row is | rows |\n| --- | --- | --- |\n",
            self.plan.ledger_id,
            self.window_text(),
            match self.scope.is_everything() {
                true => String::new(),
                false => format!("Only entries whose {}.\n", self.scope),
            },
        );
        for (part, rows) in self.rows {
            let rows = self.scope.exemption(*part).map_or_else(|| rows.to_string(), |why| format!("left out: {why}"));
            writeln!(text, "| `{}` | {} | {rows} |", part.name(), part.meaning()).ok();
        }
        if self.rows.contains(&(Part::Usage, 0)) {
            text.push_str(README_NOTHING);
        }
        if self.rates.is_some() {
            text.push_str(README_RATES);
        }
        let names: Vec<_> = formats.iter().map(|format| format.as_str()).collect();
        write!(
            text,
            "\nEach table has the same rows in each format ({}), in order of day. Every column is in `schema.md`; counts,\n\
             sums, first and last offsets by topic and partition are in `summary.json`.\n{README_CHECK}",
            names.join(", ")
        )
        .ok();
        let scans = formats.iter().map(|format| match format {
            Format::Jsonl => "read_json('data/usage/*.jsonl', format='newline_delimited')",
            Format::Csv => "read_csv('data/usage/*.csv', all_varchar=true)",
            Format::Parquet => "'data/usage/*.parquet'",
        });
        for scan in scans {
            let sql = format!("select count(*), sum(input_tokens::bigint), sum(list_cost::decimal(38,12)) from {scan}");
            writeln!(text, "    python3 -c \"import duckdb; duckdb.sql(\\\"{sql}\\\").show()\"").ok();
        }
        text.push_str(README_SUMS);
        if formats.contains(&Format::Parquet) {
            text.push_str(README_READ);
        }
        text.push_str(README_VALUES);
        match is_formula_safe {
            true => text.push_str(README_FORMULA_SAFE),
            false if formats.contains(&Format::Csv) => text.push_str(README_FORMULAS),
            false => {}
        }
        if !self.migrated.is_empty() {
            text.push_str(README_MIGRATIONS);
        }
        for (migration, migrated) in self.migrated {
            let (name, losses) = (migration.destination.as_str(), &migrated.losses);
            writeln!(
                text,
                "| `migration/{name}` | {} | {} | {} |",
                losses.rows_in, losses.rows_out, losses.rows_dropped
            )
            .ok();
        }
        text
    }
}

const README_NOTHING: &str = "
**No call is in this bundle:** at that version the ledger had none of this window and selection, or none under these names.
";

const README_RATES: &str = r#"
`rates.csv` has the rates behind each `price_id`: what the costs above were made of, whether these prices were imported or came
with Daybook. A `price_id` alone in its line is of prices that this ledger does not have.
"#;

const README_CHECK: &str = r#"
## Check it

With nothing but coreutils and bash, in the folder above this one (the one with `bagit.txt`):

    sha256sum -c --quiet tagmanifest-sha256.txt manifest-sha256.txt
    sha512sum -c --quiet tagmanifest-sha512.txt manifest-sha512.txt
    find data -type f | LC_ALL=C sort | cmp - <(cut -c67- manifest-sha256.txt)

With tools of others (`pip install bagit 'frictionless[parquet]' duckdb`):

    bagit.py --validate .
    frictionless validate data/datapackage.json

If `tagmanifest-sha256.txt.minisig` or `tagmanifest-sha256.txt.sig` is there, it is signed, by minisign or OpenSSH; whose key that
is, only its owner can tell you:

    minisign -V -p signer.pub -m tagmanifest-sha256.txt
    ssh-keygen -Y verify -f allowed_signers -I signer -n daybook-bundle -s tagmanifest-sha256.txt.sig < tagmanifest-sha256.txt
"#;

const README_SUMS: &str = r#"
The sums must be those of `summary.json`, to the last digit. `daybook verify .` does all of it at once.
"#;

const README_FORMULAS: &str = r#"
Texts in CSV are as they came: a spreadsheet may take one that begins with `=`, `+`, `-` or `@` for a formula, so import such
columns as text. `daybook export --csv-formula-safe` keeps them from it.
"#;

const README_FORMULA_SAFE: &str = r#"
In CSV a text that begins with `=`, `+`, `-`, `@`, `'`, a tab or the end of a line has a `'` before it, so that no spreadsheet takes it for
a formula; without that first `'` it is the text of the other formats.
"#;

const README_READ: &str = r#"
## Read it

`read.py` and `vectors.py`, beside `bagit.txt`, need Python and `pip install pyarrow`, and pandas for frames:

    python3 read.py                                                          # what there is; checks digests, counts and sums
    python3 vectors.py DIR                                                   # the vectors of embedding calls

    import read
    calls = read.frame("usage").merge(read.frame("content"), on="entry_id", how="left")    # decimals stay exact

    select * from 'data/usage/*.parquet' u left join 'data/content/*.parquet' c using (entry_id);  -- DuckDB

A call that has no row in `content` may have one in `content_partial`: what was said before its end, if no event told that.

`croissant.json` says the same to machine learning tools (`mlcroissant load --jsonld data/croissant.json --record_set usage`).
"#;

const README_VALUES: &str = r#"
## How values are written

| in the ledger | JSONL | CSV | Parquet |
| --- | --- | --- | --- |
| no value | `null`; every column is always there | nothing between the commas (`""` is empty text) | null |
| counts | number | digits | INT64, INT32 |
| money, exact quantities | string, 12 decimals | 12 decimals | DECIMAL(38,12) |
| instants | RFC 3339, UTC, microseconds | the same | TIMESTAMP, UTC, microseconds |
| days | `YYYY-MM-DD` | the same | DATE |
| ids and digests (`entry_id`, `content_sha256`) | lower-case hexadecimal | the same | bytes |
| bytes somebody sent (`raw`, `key`, `value`) | text if they are UTF-8, else base64; the next column, `..._encoding`, says `utf-8` or `base64` | the same | bytes |
| bytes by name (`headers`) | object; `headers_encoding` holds for all values of the row | JSON text | MAP |
| lists, maps | array, object | JSON text | LIST, MAP |

CSV is RFC 4180: UTF-8, a header, CRLF, quotes doubled. Bodies are whole, so a line may be long: DuckDB takes `max_line_size` for
CSV past 2 MB and `maximum_object_size` for JSON past 16 MB.
"#;

const README_MIGRATIONS: &str = r#"
## To move elsewhere

What was said, in the shapes other vendors read. Each folder has a README with what does not carry over and why, and the same
in `loss.json`.

| folder | bodies | in its files | dropped |
| --- | --- | --- | --- |
"#;

/// A data file that is checked byte by byte.
fn file_resource(format: Format, shard: &Shard) -> Value {
    let path = shard.file.path.strip_prefix("data/").unwrap_or(&shard.file.path);
    let name = path.rsplit('/').next().unwrap_or(path).replace('.', "-");
    json!({
        "name": name,
        "path": path,
        "type": "file",
        "format": format.as_str(),
        "mediatype": format.media_type(),
        "bytes": shard.file.bytes,
        "hash": format!("sha256:{}", shard.file.sha256),
        "rowCount": shard.rows,
    })
}

fn migration_resource(destination: Destination, shard: &Shard) -> Value {
    let mut resource = file_resource(Format::Jsonl, shard);
    if let Some(fields) = resource.as_object_mut() {
        fields.insert("encoding".into(), json!("utf-8"));
        fields.insert("description".into(), json!(destination.meaning()));
    }
    resource
}

fn resource(part: Part, format: Format, shard: &Shard) -> Value {
    let mut resource = file_resource(format, shard);
    let Some(fields) = resource.as_object_mut() else { return resource };
    fields.insert("schema".into(), table_schema(part, format));
    if format != Format::Parquet {
        fields.insert("encoding".into(), json!("utf-8"));
    }
    // Validators compare `rows` with a table they read, and refuse it on a file.
    if format == Format::Csv {
        fields.insert("type".into(), json!("table"));
        fields.insert("rows".into(), json!(shard.rows));
    }
    resource
}

/// Table Schema of a file. Nothing is declared unique or positive: a ledger keeps what it was sent, and flags it.
pub(crate) fn table_schema(part: Part, format: Format) -> Value {
    let columns = match format {
        Format::Jsonl | Format::Csv => text_columns(part.spec()),
        Format::Parquet => {
            let column = |column: &'static Column| TextColumn { name: column.name.into(), column, is_encoding: false };
            part.spec().columns.iter().map(column).collect()
        }
    };
    let fields: Vec<Value> = columns.iter().map(|column| field(column, format)).collect();
    json!({"$schema": "https://datapackage.org/profiles/2.0/tableschema.json", "fields": fields})
}

fn field(text: &TextColumn, format: Format) -> Value {
    let column = text.column;
    if text.is_encoding {
        return json!({
            "name": text.name, "type": "string",
            "description": format!("How `{}` became text", column.name),
            "constraints": {"enum": ["utf-8", "base64"]},
        });
    }
    let kind = match column.kind {
        Kind::Bytes | Kind::Text | Kind::Word => "string",
        Kind::Int | Kind::Short => "integer",
        Kind::Bool => "boolean",
        Kind::Instant => "datetime",
        Kind::Day => "date",
        Kind::Decimal => "number",
        Kind::Words => "array",
        Kind::TextMap | Kind::BytesMap | Kind::DecimalMap => "object",
    };
    let mut field = json!({"name": text.name, "type": kind, "description": meaning(column)});
    if format == Format::Csv
        && HEX_COLUMNS.contains(&column.name)
        && let Some(field) = field.as_object_mut()
    {
        field.insert("constraints".into(), json!({"pattern": "[0-9a-f]*"}));
    }
    field
}

fn meaning(column: &Column) -> String {
    match column.unit {
        "" => column.meaning.into(),
        unit => format!("{} ({unit})", column.meaning),
    }
}

/// `schema.md`: every column of the bundle.
pub(crate) fn schema() -> String {
    let mut text = String::from(
        "# Columns\n\nEvery column may be null: null means the event does not say. README.md says how each type is written.\n",
    );
    for part in Part::ALL {
        write!(
            text,
            "\n## `{}`\n\n| column | type | unit | meaning | term from |\n| --- | --- | --- | --- | --- |\n",
            part.name()
        )
        .ok();
        for column in part.spec().columns {
            let Column { name, unit, meaning, origin, .. } = column;
            let kind = match column.kind {
                Kind::Bytes => "bytes",
                Kind::Text | Kind::Word => "text",
                Kind::Int => "64-bit integer",
                Kind::Short => "32-bit integer",
                Kind::Bool => "boolean",
                Kind::Instant => "instant",
                Kind::Day => "day",
                Kind::Decimal => "decimal(38,12)",
                Kind::Words => "list of text",
                Kind::TextMap => "map of text to text",
                Kind::BytesMap => "map of text to bytes",
                Kind::DecimalMap => "map of text to decimal(38,12)",
            };
            writeln!(text, "| `{name}` | {kind} | {unit} | {meaning} | {origin} |").ok();
        }
    }
    text
}
