//! A server that speaks as much of S3 as a bundle needs, and refuses what it is told to.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use tokio::runtime::Runtime;

/// What requests are answered instead of being done.
#[derive(Clone, Copy)]
pub(crate) struct Refusal {
    /// Which requests.
    pub(crate) asks: fn(&Method) -> bool,
    /// The first of those that is refused.
    pub(crate) from: usize,
    /// So many one after another.
    pub(crate) times: usize,
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) message: &'static str,
}

/// One bucket, called `b`, as long as this lives.
pub(crate) struct Bucket {
    address: String,
    shelf: Arc<Mutex<Shelf>>,
    _runtime: Runtime,
}

#[derive(Default)]
struct Shelf {
    objects: BTreeMap<String, Bytes>,
    uploads: BTreeMap<String, BTreeMap<u32, Bytes>>,
    begun: usize,
    refusal: Option<Refusal>,
    asked: usize,
}

impl Bucket {
    pub(crate) fn start() -> Self {
        let shelf = Arc::new(Mutex::new(Shelf::default()));
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer).layer(DefaultBodyLimit::disable()).with_state(Arc::clone(&shelf));
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self { address, shelf, _runtime: runtime }
    }

    /// What a command needs to know to find it.
    pub(crate) fn env(&self) -> [(&str, &str); 3] {
        [("AWS_ENDPOINT_URL", &self.address), ("AWS_ACCESS_KEY_ID", "k"), ("AWS_SECRET_ACCESS_KEY", "s")]
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap()
    }

    /// Refuses from now on, counting anew.
    pub(crate) fn refuse(&self, refusal: Refusal) {
        let mut shelf = self.shelf();
        (shelf.refusal, shelf.asked) = (Some(refusal), 0);
    }

    pub(crate) fn allow(&self) {
        self.shelf().refusal = None;
    }

    pub(crate) fn clear(&self) {
        self.shelf().objects.clear();
    }

    /// Requests of the kind that is refused.
    pub(crate) fn asked(&self) -> usize {
        self.shelf().asked
    }

    /// Uploads in parts that are neither whole nor given up.
    pub(crate) fn uploads(&self) -> usize {
        self.shelf().uploads.len()
    }

    /// Objects below `prefix`, by the rest of their names.
    pub(crate) fn objects(&self, prefix: &str) -> BTreeMap<String, Vec<u8>> {
        let shelf = self.shelf();
        let below = shelf.objects.iter().filter_map(|(name, bytes)| Some((name.strip_prefix(prefix)?, bytes)));
        below.map(|(name, bytes)| (name.to_owned(), bytes.to_vec())).collect()
    }
}

async fn answer(
    State(shelf): State<Arc<Mutex<Shelf>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut shelf = shelf.lock().unwrap();
    if let Some(refusal) = shelf.refusal.filter(|refusal| (refusal.asks)(&method)) {
        shelf.asked += 1;
        if (shelf.asked - 1).checked_sub(refusal.from).is_some_and(|later| later < refusal.times) {
            return failed(refusal.status, refusal.code, refusal.message);
        }
    }
    let key = uri.path().trim_start_matches("/b").trim_start_matches('/').to_owned();
    let query = Query::of(&uri);
    match (method.as_str(), query.get("uploadId"), query.get("partNumber")) {
        ("PUT", Some(id), Some(number)) => shelf.put_part(&id, &number, body),
        ("PUT", ..) => shelf.put(key, &headers, body),
        ("POST", Some(id), _) => shelf.complete(&id, key),
        ("POST", ..) if query.get("uploads").is_some() => shelf.begin(),
        ("POST", ..) => shelf.delete_all(std::str::from_utf8(&body).unwrap()),
        ("DELETE", Some(id), _) => {
            shelf.uploads.remove(&id);
            StatusCode::NO_CONTENT.into_response()
        }
        ("GET", ..) if key.is_empty() => shelf.list(&query.get("prefix").unwrap_or_default()),
        ("GET" | "HEAD", ..) => shelf.get(&key, &headers),
        _ => failed(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", "It is not."),
    }
}

impl Shelf {
    fn put(&mut self, key: String, headers: &HeaderMap, body: Bytes) -> Response {
        let known = self.objects.get(&key).map(|bytes| etag(bytes));
        let is_met = match (headers.get("if-none-match"), headers.get("if-match")) {
            (Some(_), _) => known.is_none(),
            (None, Some(tag)) => known.as_deref() == tag.to_str().ok(),
            (None, None) => true,
        };
        if !is_met {
            return failed(StatusCode::PRECONDITION_FAILED, "PreconditionFailed", "It is another.");
        }
        let tag = etag(&body);
        self.objects.insert(key, body);
        [("etag", tag)].into_response()
    }

    fn begin(&mut self) -> Response {
        self.begun += 1;
        let id = self.begun.to_string();
        let answer = format!("<R><UploadId>{id}</UploadId></R>");
        self.uploads.insert(id, BTreeMap::new());
        answer.into_response()
    }

    fn put_part(&mut self, id: &str, number: &str, body: Bytes) -> Response {
        let Some(parts) = self.uploads.get_mut(id) else {
            return failed(StatusCode::NOT_FOUND, "NoSuchUpload", "There is none.");
        };
        let tag = etag(&body);
        parts.insert(number.parse().unwrap(), body);
        [("etag", tag)].into_response()
    }

    fn complete(&mut self, id: &str, key: String) -> Response {
        let Some(parts) = self.uploads.remove(id) else {
            return failed(StatusCode::NOT_FOUND, "NoSuchUpload", "There is none.");
        };
        let whole: Bytes = parts.into_values().flatten().collect();
        let answer = format!("<R><ETag>{}</ETag></R>", etag(&whole));
        self.objects.insert(key, whole);
        answer.into_response()
    }

    fn delete_all(&mut self, asked: &str) -> Response {
        let keys = asked.split("<Key>").skip(1).filter_map(|rest| rest.split("</Key>").next());
        let deleted: String = keys
            .map(|key| {
                self.objects.remove(key);
                format!("<Deleted><Key>{key}</Key></Deleted>")
            })
            .collect();
        format!("<DeleteResult>{deleted}</DeleteResult>").into_response()
    }

    fn list(&self, prefix: &str) -> Response {
        let below = self.objects.iter().filter(|(name, _)| name.starts_with(prefix));
        let contents: String = below
            .map(|(name, bytes)| {
                format!(
                    "<Contents><Key>{name}</Key><Size>{}</Size><ETag>{}</ETag>\
                     <LastModified>2026-11-20T00:00:00.000Z</LastModified></Contents>",
                    bytes.len(),
                    etag(bytes)
                )
            })
            .collect();
        format!("<ListBucketResult><IsTruncated>false</IsTruncated>{contents}</ListBucketResult>").into_response()
    }

    fn get(&self, key: &str, headers: &HeaderMap) -> Response {
        let Some(bytes) = self.objects.get(key) else {
            return failed(StatusCode::NOT_FOUND, "NoSuchKey", "The key is not there.");
        };
        let about = [("etag", etag(bytes)), ("last-modified", "Fri, 20 Nov 2026 00:00:00 GMT".to_owned())];
        let asked = headers.get("range").and_then(|range| range.to_str().ok()?.strip_prefix("bytes=")?.split_once('-'));
        let Some((start, end)) = asked else { return (about, bytes.clone()).into_response() };
        let (start, end): (usize, usize) = (start.parse().unwrap(), end.parse().unwrap());
        let end = (end + 1).min(bytes.len());
        let range = [("content-range", format!("bytes {start}-{}/{}", end - 1, bytes.len()))];
        (StatusCode::PARTIAL_CONTENT, about, range, bytes.slice(start..end)).into_response()
    }
}

fn failed(status: StatusCode, code: &str, message: &str) -> Response {
    (status, format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>")).into_response()
}

fn etag(bytes: &[u8]) -> String {
    let digest = <sha2::Sha256 as sha2::Digest>::digest(bytes);
    format!("\"{}\"", daybook_ledger::file::hex(digest.first_chunk::<16>().unwrap()))
}

/// The words after the question mark.
struct Query(BTreeMap<String, String>);

impl Query {
    fn of(uri: &Uri) -> Self {
        let pairs = uri.query().unwrap_or_default().split('&');
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (name.to_owned(), value.replace("%2F", "/"))
        };
        Self(pairs.map(pair).collect())
    }

    fn get(&self, name: &str) -> Option<String> {
        self.0.get(name).cloned()
    }
}
