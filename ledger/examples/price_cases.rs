//! Calls drawn over every row of a sheet, priced: what `tests/prices/recompute.py` recomputes.
//!
//! `cargo run -p daybook-ledger --example price_cases -- COUNT SEED [SHEET.csv]` writes CSV. Each call is drawn around one
//! row of the sheet (the default one if none is named), and each row gets as many: its product, a day of its period or one
//! beside it, its tier, its band to the very token, and some of its meter, alone or among others. The same seed gives the
//! same calls.
#![expect(clippy::print_stdout, reason = "a program whose output is its purpose")]

use std::error::Error;

use daybook_ledger::price::{Book, Call, Meter, Row, Tier};
use daybook_ledger::{Date, Instant, Operation, Tokens, Usd};

const COLUMNS: &str = "provider,response_model,request_model,service_tier,region,started_at,operation,batch,provisioned,\
gateway_cache_hit,input,cache_read,cache_write,cache_write_5m,cache_write_30m,cache_write_1h,cache_write_12h,input_audio,\
input_image,output,reasoning,output_audio,output_image,total,meters,list_cost,price_id,price_status";

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let count: u32 = args.next().ok_or("COUNT is missing")?.parse()?;
    let mut chance = Chance(args.next().ok_or("SEED is missing")?.parse()?);
    let book = match args.next() {
        Some(file) => Book::read_csv(std::fs::read(&file)?.as_slice(), &file)?,
        None => Book::default_sheet()?,
    };
    let rows: Vec<&Row> = book.rows().collect();
    println!("{COLUMNS}");
    for (_, row) in (0..count).zip(rows.iter().cycle()) {
        println!("{}", Case::draw(row, &rows, &mut chance).csv(&book));
    }
    Ok(())
}

/// SplitMix64: small, seeded, the same everywhere.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to `end`, without it.
    fn below(&mut self, end: i64) -> i64 {
        i64::try_from(self.next() % end.unsigned_abs().max(1)).unwrap_or(0)
    }

    fn once_in(&mut self, times: i64) -> bool {
        self.below(times) == 0
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> Option<T> {
        let at = self.below(i64::try_from(choices.len()).ok()?);
        choices.get(usize::try_from(at).ok()?).copied()
    }
}

struct Case {
    provider: String,
    response_model: Option<String>,
    request_model: Option<String>,
    service_tier: Option<&'static str>,
    region: Option<&'static str>,
    at: Instant,
    operation: Operation,
    batch: bool,
    provisioned: bool,
    gateway_cache_hit: bool,
    tokens: Tokens,
    meters: Vec<(&'static str, Usd)>,
}

impl Case {
    fn draw(row: &Row, rows: &[&Row], chance: &mut Chance) -> Self {
        let of_product = |other: &&&Row| other.provider == row.provider && other.model == row.model;
        let sold: Vec<Meter> = rows.iter().filter(of_product).map(|other| other.unit.meter).collect();
        let mut case = Self {
            provider: row.provider.clone(),
            response_model: Some(row.model.replace('*', "x")),
            request_model: None,
            service_tier: tier_word(row.unit.tier, chance),
            region: chance.of(&REGIONS).flatten(),
            at: instant(row, chance),
            operation: Operation::Chat,
            batch: row.unit.tier == Tier::Batch && chance.once_in(2),
            provisioned: row.unit.meter == Meter::CapacityHour || chance.once_in(200),
            gateway_cache_hit: chance.once_in(200),
            tokens: Tokens::default(),
            meters: Vec::new(),
        };
        case.rename(chance);
        if chance.once_in(20) {
            case.service_tier = chance.of(&TIER_WORDS).flatten();
        }
        // Other meters need not be sold on that day or in that tier: by itself the row's own is sure to be priced.
        let others = if chance.once_in(3) { &[] } else { sold.as_slice() };
        case.use_tokens(row, others, chance);
        case.use_meters(row, others, chance);
        case
    }

    /// Names as sources write them.
    fn rename(&mut self, chance: &mut Chance) {
        let model = self.response_model.take().unwrap_or_default();
        self.response_model = Some(match chance.below(12) {
            0 => format!("{}/{model}", self.provider),
            1 => format!("{model}-2026-03-17"),
            2 if self.provider == "bedrock" => format!("global.{model}"),
            3 if self.provider == "bedrock" => {
                format!("arn:aws:bedrock:us-east-1:111122223333:inference-profile/eu.{model}")
            }
            2 => format!("models/{model}"),
            4 => model.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches('-').to_owned(),
            _ => model,
        });
        if chance.once_in(15) {
            self.request_model = self.response_model.take();
        }
    }

    fn use_tokens(&mut self, row: &Row, sold: &[Meter], chance: &mut Chance) {
        let pieces =
            [Meter::AudioSecond, Meter::Query, Meter::OutputImageEach, Meter::OutputSecond, Meter::InputCharacter];
        if pieces.contains(&row.unit.meter) && !chance.once_in(4) {
            self.operation = if row.unit.meter == Meter::Query { Operation::Rerank } else { Operation::Speech };
            return;
        }
        let mut some = |meter: Meter| {
            let is_used =
                row.unit.meter == meter || (sold.contains(&meter) && !chance.once_in(3)) || chance.once_in(40);
            is_used.then(|| chance.below(30_000))
        };
        let mut tokens = Tokens {
            cache_read: some(Meter::CacheRead),
            cache_write_5m: some(Meter::CacheWrite5m),
            cache_write_30m: some(Meter::CacheWrite30m),
            cache_write_1h: some(Meter::CacheWrite1h),
            cache_write_12h: some(Meter::CacheWrite12h),
            input_audio: some(Meter::InputAudio),
            input_image: some(Meter::InputImage),
            reasoning: some(Meter::OutputReasoning),
            output_audio: some(Meter::OutputAudio),
            output_image: some(Meter::OutputImage),
            ..Tokens::default()
        };
        let sum = |parts: &[Option<i64>]| parts.iter().flatten().sum::<i64>();
        let unstated = some(Meter::CacheWrite).unwrap_or(0);
        let lifetimes = [tokens.cache_write_5m, tokens.cache_write_30m, tokens.cache_write_1h, tokens.cache_write_12h];
        let written = sum(&lifetimes) + unstated;
        tokens.cache_write = (written > 0 || unstated > 0).then_some(written);
        let parts_in = sum(&[tokens.cache_read, tokens.cache_write, tokens.input_audio, tokens.input_image]);
        let parts_out = sum(&[tokens.reasoning, tokens.output_audio, tokens.output_image]);
        let text = |meter, most, chance: &mut Chance| match row.unit.meter == meter
            || sold.contains(&meter)
            || chance.once_in(10)
        {
            true => chance.below(most),
            false => 0,
        };
        let fresh = text(Meter::Input, 60_000, chance);
        tokens.input = Some(parts_in + fresh);
        if let Some(above_k) = row.unit.above_k {
            let threshold = i64::from(above_k) * 1_000;
            let beyond = [0, 1, 1, 1, chance.below(900_000)];
            tokens.input = Some(parts_in.max(threshold + chance.of(&beyond).unwrap_or(0)));
        }
        tokens.output = Some(parts_out + text(Meter::Output, 20_000, chance));
        match chance.below(60) {
            0 => tokens.output = None,
            1 => tokens.input = tokens.input.map(|input| input - fresh - 1),
            2 => tokens.total = tokens.input,
            3 => tokens.total = tokens.input.zip(tokens.output).map(|(input, output)| input + output),
            4 => (self.operation, tokens.output) = (Operation::Embeddings, None),
            _ if row.model.contains("embed") && tokens.output == Some(0) => {
                (self.operation, tokens.output) = (Operation::Embeddings, None);
            }
            _ => {}
        }
        self.tokens = tokens;
    }

    fn use_meters(&mut self, row: &Row, sold: &[Meter], chance: &mut Chance) {
        for (name, meter) in METERS {
            let is_sold =
                meter.is_some_and(|meter| row.unit.meter == meter || sold.contains(&meter) && chance.once_in(4));
            let quantity = Usd::parse(&format!("{}.{:03}", chance.below(5_000), chance.below(1_000) * chance.below(2)));
            if let (Ok(quantity), true) = (quantity, is_sold || chance.once_in(300)) {
                self.meters.push((name, quantity));
            }
        }
        // Most often beside the search that found it: Google then bills only the search.
        let searched = self.meters.iter().any(|(name, _)| *name == "web_search_requests");
        if chance.once_in(if searched { 2 } else { 100 }) {
            let tokens = Usd::parse(&chance.below(5_000).to_string());
            self.meters.extend(tokens.ok().map(|tokens| ("input_tool_use_tokens", tokens)));
        }
    }

    fn csv(&self, book: &Book) -> String {
        let tokens = &self.tokens;
        let buckets = tokens.buckets();
        let call = Call {
            provider: Some(&self.provider),
            response_model: self.response_model.as_deref(),
            request_model: self.request_model.as_deref(),
            service_tier: self.service_tier,
            region: self.region,
            at: self.at,
            operation: self.operation,
            tokens,
            buckets: &buckets,
            meters: &self.meters,
            batch: self.batch,
            provisioned: self.provisioned,
            gateway_cache_hit: self.gateway_cache_hit,
        };
        let rated = book.price(&call);
        let counts = [
            tokens.input,
            tokens.cache_read,
            tokens.cache_write,
            tokens.cache_write_5m,
            tokens.cache_write_30m,
            tokens.cache_write_1h,
            tokens.cache_write_12h,
            tokens.input_audio,
            tokens.input_image,
            tokens.output,
            tokens.reasoning,
            tokens.output_audio,
            tokens.output_image,
            tokens.total,
        ];
        let counts = counts.map(|count| count.map(|count| count.to_string()).unwrap_or_default()).join(",");
        let meters: Vec<_> = self.meters.iter().map(|(name, quantity)| format!("{name}={quantity}")).collect();
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        [
            self.provider.clone(),
            text(self.response_model.as_deref()),
            text(self.request_model.as_deref()),
            text(self.service_tier),
            text(self.region),
            self.at.to_string(),
            self.operation.as_str().to_owned(),
            self.batch.to_string(),
            self.provisioned.to_string(),
            self.gateway_cache_hit.to_string(),
            counts,
            meters.join(";"),
            rated.list_cost.map(|cost| cost.to_string()).unwrap_or_default(),
            text(rated.price_id),
            rated.status.as_str().to_owned(),
        ]
        .join(",")
    }
}

const REGIONS: [Option<&str>; 8] =
    [None, None, None, Some("us"), Some("eu"), Some("US"), Some("global"), Some("us-east-1")];

const TIER_WORDS: [Option<&str>; 10] = [
    None,
    Some("standard"),
    Some("AUTO"),
    Some("fast"),
    Some("on_demand_priority"),
    Some("scale"),
    Some("PROVISIONED_THROUGHPUT"),
    Some("gold"),
    Some("flex"),
    Some("ultrafast"),
];

fn tier_word(tier: Tier, chance: &mut Chance) -> Option<&'static str> {
    match tier {
        Tier::Standard | Tier::OffPeak => chance.of(&[None, None, Some("default"), Some("on_demand")]).flatten(),
        other => Some(other.as_str()),
    }
}

/// Mostly within the row's period, often at its edges.
fn instant(row: &Row, chance: &mut Chance) -> Instant {
    const DAY_MICROS: i64 = 86_400_000_000;
    let first = row.effective_from.days();
    let last = row.effective_to.map_or(first + 200, Date::days);
    let inside = first + i32::try_from(chance.below(i64::from(last - first))).unwrap_or(0);
    let day = chance
        .of(&[first, first, last - 1, last - 1, inside, inside, inside, inside, first - 1, last])
        .unwrap_or(first);
    let start = i64::from(day) * DAY_MICROS;
    let second = chance.below(DAY_MICROS / 1_000_000) * 1_000_000;
    let within = chance.of(&[0, DAY_MICROS - 1, second, second]).unwrap_or(0);
    // The sheet's hours begin and end on half hours: the edges themselves.
    let half_hour = within / 1_800_000_000 * 1_800_000_000;
    let edge = chance.of(&[within, within, half_hour, (half_hour - 1).max(0)]).unwrap_or(within);
    Instant::from_micros(start + edge)
}

const METERS: [(&str, Option<Meter>); 23] = [
    ("web_search_requests", Some(Meter::WebSearchMedium)),
    ("web_fetch_requests", None),
    ("search_units", Some(Meter::Query)),
    ("input_seconds", Some(Meter::AudioSecond)),
    ("output_seconds", Some(Meter::OutputSecond)),
    ("output_images", Some(Meter::OutputImageEach)),
    ("input_images", Some(Meter::InputImageEach)),
    ("input_characters", Some(Meter::InputCharacter)),
    ("output_characters", Some(Meter::OutputCharacter)),
    ("pages", Some(Meter::Page)),
    ("classifications", Some(Meter::Classification)),
    ("file_search_requests", Some(Meter::FileSearchCall)),
    ("code_interpreter_sessions", Some(Meter::CodeInterpreterSession)),
    ("google_maps_requests", Some(Meter::GoogleMapsRequest)),
    ("tool_calls", None),
    ("mcp_calls", None),
    ("input_video_tokens", Some(Meter::InputVideo)),
    ("cache_read_audio_tokens", Some(Meter::CacheReadAudio)),
    ("cache_read_image_tokens", Some(Meter::CacheReadImage)),
    ("billed_input_tokens", None),
    ("billed_output_tokens", None),
    ("billed_image_tokens", Some(Meter::InputImage)),
    ("tea_cups", None),
];
