//! The screening service beside `redis-server` in the same run: one address a request, a thousand a request, from the same
//! ten million addresses, over the same number of connections without pipelining, by the same client. Prints one JSON
//! object of whole numbers.
//!
//! `KURABAN_BENCH_GUARDD` and `KURABAN_BENCH_REDIS` name the programs. Rounds of both alternate, and the median round counts,
//! so that whatever else the machine does hits both. The client is one thread, as `redis-benchmark` is.

#[path = "../../trace/benches/made/tags.rs"]
mod made;

use std::env;
use std::fs;
use std::io::{Write as _, stdout};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use kuraban_trace::tags::store::Builder;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::made::{address, label, tag};

/// Tags, where nobody says how many.
const TAGS: u64 = 10_000_000;
/// Connections of single requests, as many as `redis-benchmark` has.
const CONNECTIONS: usize = 50;
/// Connections of bulk requests.
const BULK_CONNECTIONS: usize = 4;
/// Addresses of a bulk request.
const BULK: u64 = 1_000;
/// How long a round lasts.
const ROUND: Duration = Duration::from_secs(3);
/// Rounds of each kind; the median counts.
const ROUNDS: usize = 5;
/// Different requests of each kind.
const REQUESTS: u64 = 200_000;

fn main() -> Result<()> {
    let wanted = env::args().skip_while(|arg| arg != "--count").nth(1);
    let tags = wanted.map_or(Ok(TAGS), |text| text.parse()).context("want a number of tags")?;
    let parent = env::var_os("KURABAN_BENCH_DIR").map_or_else(env::temp_dir, PathBuf::from);
    let folder = tempfile::tempdir_in(parent)?;
    let figures = measure(folder.path(), tags)?;
    writeln!(stdout(), "{}", Value::Object(figures)).context("could not print")
}

fn measure(folder: &Path, tags: u64) -> Result<Map<String, Value>> {
    store(&folder.join("tags"), tags)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let screen = Server::screen(folder)?;
    let redis = Server::redis(folder)?;
    runtime.block_on(fill(redis.address, tags))?;
    runtime.block_on(agree(&screen, &redis, tags))?;
    let kinds = kinds(&screen, &redis, tags);
    let mut rounds: Vec<Vec<Round>> = kinds.iter().map(|_| Vec::new()).collect();
    for _ in 0..ROUNDS {
        for (kind, rounds) in kinds.iter().zip(&mut rounds) {
            let server = if kind.of_screen() { &screen } else { &redis };
            rounds.push(round(&runtime, kind, server)?);
        }
    }
    let mut figures = Map::new();
    let mut per_s = Vec::new();
    for (kind, rounds) in kinds.iter().zip(&mut rounds) {
        rounds.sort_unstable_by_key(|round| round.addresses_per_s);
        let median = rounds.get(ROUNDS / 2).context("no rounds")?;
        per_s.push(median.addresses_per_s);
        figures.insert(kind.name.to_owned(), median.json());
    }
    let [redis_one, one, _, many] = per_s.as_slice() else { bail!("want four kinds") };
    let figure = json!({
        "tags": tags,
        "screen_kib": screen.resident_kib()?,
        "screen_peak_kib": screen.peak_kib()?,
        "redis_kib": redis.resident_kib()?,
        "single_percent_of_redis_get": one * 100 / redis_one.max(&1),
        "bulk_percent_of_redis_get": many * 100 / redis_one.max(&1),
    });
    figures.insert("all".to_owned(), figure);
    Ok(figures)
}

/// The number that is asked for in a place: every other one has a tag.
fn asked(place: u64, tags: u64) -> u64 {
    place.wrapping_mul(2_654_435_761) % (2 * tags)
}

/// Every other number has a tag; a thousand labels, as exchanges and services have many addresses each.
fn store(folder: &Path, tags: u64) -> Result<()> {
    let mut builder = Builder::new();
    for number in 0..tags {
        builder.add(&tag(number), "Made up", "Bench")?;
    }
    let rows = builder.save(folder)?;
    ensure!(u64::try_from(rows)? == tags, "{rows} rows, want {tags}");
    Ok(())
}

/// A server of our own, on loopback, that ends with this.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    fn screen(folder: &Path) -> Result<Self> {
        let address = free()?;
        let config = folder.join("screen.toml");
        let text =
            format!("listen = \"{address}\"\nthreads = 2\n[[store]]\nname = \"bench\"\nfolder = \"tags\"\n");
        fs::write(&config, text)?;
        let program = program("KURABAN_BENCH_GUARDD")?;
        Self::start(Command::new(program).args(["screen", "run", "--config"]).arg(config), address)
    }

    fn redis(folder: &Path) -> Result<Self> {
        let address = free()?;
        let mut command = Command::new(program("KURABAN_BENCH_REDIS")?);
        command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--daemonize", "no"]);
        command.args(["--port", &address.port().to_string()]).current_dir(folder).stdout(Stdio::null());
        Self::start(&mut command, address)
    }

    fn start(command: &mut Command, address: SocketAddr) -> Result<Self> {
        let child = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn();
        let server = Self { child: child.with_context(|| format!("{command:?} does not start"))?, address };
        let begun = Instant::now();
        while std::net::TcpStream::connect(address).is_err() {
            ensure!(begun.elapsed() < Duration::from_secs(60), "{command:?} does not listen on {address}");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    /// What its threads have computed until now, in clock ticks of 10 ms (proc_pid_stat(5), fields 14 and 15).
    fn ticks(&self) -> Result<u64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let (_, fields) = stat.rsplit_once(") ").context("no fields")?;
        let ticks = fields.split(' ').skip(11).take(2).map(str::parse::<u64>);
        Ok(ticks.collect::<Result<Vec<_>, _>>()?.iter().sum())
    }

    fn kib(&self, field: &str) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(field)).context("no such figure")?;
        Ok(line.split_whitespace().next().context("no figure")?.parse()?)
    }

    fn resident_kib(&self) -> Result<u64> {
        self.kib("VmRSS:")
    }

    fn peak_kib(&self) -> Result<u64> {
        self.kib("VmHWM:")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn program(name: &str) -> Result<PathBuf> {
    env::var_os(name)
        .map(PathBuf::from)
        .with_context(|| format!("{name} is not set; run `cargo xtask bench screen`"))
}

fn free() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// Puts every tag's label into Redis.
async fn fill(redis: SocketAddr, tags: u64) -> Result<()> {
    let mut link = Link::open(redis).await?;
    let mut number = 0;
    while number < tags {
        let until = (number + 10_000).min(tags);
        let mut bytes = Vec::new();
        for number in number..until {
            command(&mut bytes, &["SET", &address(number * 2), &label(number)]);
        }
        link.stream.write_all(&bytes).await?;
        for _ in number..until {
            link.line().await?;
        }
        number = until;
    }
    Ok(())
}

/// A command in Redis' own protocol.
fn command(out: &mut Vec<u8>, words: &[&str]) {
    out.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        out.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
}

/// Both know the same: every other address.
async fn agree(screen: &Server, redis: &Server, tags: u64) -> Result<()> {
    let (mut http, mut link) = (Link::open(screen.address).await?, Link::open(redis.address).await?);
    for place in 0..1_000 {
        let number = asked(place, tags);
        http.stream.write_all(&http_one(number)).await?;
        let answer = http.http().await?;
        let answer: Value = serde_json::from_slice(&answer)?;
        let label = answer.pointer("/hits/0/label").and_then(Value::as_str).map(str::to_owned);
        link.stream.write_all(&redis_one(number)).await?;
        let value = link.value().await?.map(String::from_utf8).transpose()?;
        ensure!(label == value, "{number}: {label:?} and {value:?}");
        ensure!(label.is_some() == number.is_multiple_of(2), "{number}: {label:?}");
    }
    Ok(())
}

fn http_one(number: u64) -> Vec<u8> {
    format!("GET /v1/screen/eth/{} HTTP/1.1\r\nHost: bench\r\n\r\n", address(number)).into_bytes()
}

fn http_many(numbers: impl Iterator<Item = u64>) -> Vec<u8> {
    let subjects: Vec<Value> =
        numbers.map(|number| json!({ "chain": "eth", "address": address(number) })).collect();
    let body = json!({ "subjects": subjects }).to_string();
    format!("POST /v1/screen HTTP/1.1\r\nHost: bench\r\nContent-Length: {}\r\n\r\n{body}", body.len())
        .into_bytes()
}

fn redis_one(number: u64) -> Vec<u8> {
    let mut out = Vec::new();
    command(&mut out, &["GET", &address(number)]);
    out
}

fn redis_many(numbers: impl Iterator<Item = u64>) -> Vec<u8> {
    let addresses: Vec<String> = numbers.map(address).collect();
    let words: Vec<&str> = ["MGET"].into_iter().chain(addresses.iter().map(String::as_str)).collect();
    let mut out = Vec::new();
    command(&mut out, &words);
    out
}

/// What an answer looks like.
#[derive(Clone, Copy)]
enum Form {
    Http,
    RedisValue,
    RedisValues,
}

/// A kind of question: what is sent, over how many connections, and how many addresses it asks for.
struct Kind {
    name: &'static str,
    address: SocketAddr,
    form: Form,
    connections: usize,
    addresses: u64,
    requests: Vec<Vec<u8>>,
}

impl Kind {
    const fn of_screen(&self) -> bool {
        matches!(self.form, Form::Http)
    }
}

fn kinds(screen: &Server, redis: &Server, tags: u64) -> [Kind; 4] {
    let batch = |place: u64| (0..BULK).map(move |each| asked(place * BULK + each, tags));
    let bulk = REQUESTS / BULK;
    let one = |make: fn(u64) -> Vec<u8>| (0..REQUESTS).map(|place| make(asked(place, tags))).collect();
    [
        Kind {
            name: "redis_get",
            address: redis.address,
            form: Form::RedisValue,
            connections: CONNECTIONS,
            addresses: 1,
            requests: one(redis_one),
        },
        Kind {
            name: "screen_one",
            address: screen.address,
            form: Form::Http,
            connections: CONNECTIONS,
            addresses: 1,
            requests: one(http_one),
        },
        Kind {
            name: "redis_mget_1000",
            address: redis.address,
            form: Form::RedisValues,
            connections: BULK_CONNECTIONS,
            addresses: BULK,
            requests: (0..bulk).map(|place| redis_many(batch(place))).collect(),
        },
        Kind {
            name: "screen_many_1000",
            address: screen.address,
            form: Form::Http,
            connections: BULK_CONNECTIONS,
            addresses: BULK,
            requests: (0..bulk).map(|place| http_many(batch(place))).collect(),
        },
    ]
}

/// What one round gave.
struct Round {
    addresses_per_s: u64,
    requests_per_s: u64,
    p50_us: u64,
    p99_us: u64,
    p999_us: u64,
    /// What an address costs the server, on all cores together.
    server_cpu_ns_per_address: u64,
}

impl Round {
    fn json(&self) -> Value {
        json!({
            "addresses_per_s": self.addresses_per_s,
            "requests_per_s": self.requests_per_s,
            "p50_us": self.p50_us,
            "p99_us": self.p99_us,
            "p999_us": self.p999_us,
            "server_cpu_ns_per_address": self.server_cpu_ns_per_address,
        })
    }
}

fn round(runtime: &Runtime, kind: &Kind, server: &Server) -> Result<Round> {
    let ticks = server.ticks()?;
    let requests: std::sync::Arc<[Vec<u8>]> = kind.requests.clone().into();
    let (mut took, begun) = runtime.block_on(async {
        let mut links = Vec::new();
        for _ in 0..kind.connections {
            links.push(Link::open(kind.address).await?);
        }
        let begun = Instant::now();
        let mut tasks = JoinSet::new();
        for (place, mut link) in links.into_iter().enumerate() {
            let (requests, form, step) = (std::sync::Arc::clone(&requests), kind.form, kind.connections);
            tasks.spawn(async move {
                let mut took = Vec::new();
                for request in requests.iter().cycle().skip(place).step_by(step) {
                    let sent = Instant::now();
                    if sent.duration_since(begun) >= ROUND {
                        break;
                    }
                    link.stream.write_all(request).await?;
                    link.answer(form).await?;
                    took.push(u64::try_from(sent.elapsed().as_micros())?);
                }
                Ok::<_, anyhow::Error>(took)
            });
        }
        let mut all = Vec::new();
        while let Some(took) = tasks.join_next().await {
            all.extend(took??);
        }
        Ok::<_, anyhow::Error>((all, begun))
    })?;
    let elapsed_us = u64::try_from(begun.elapsed().as_micros())?.max(1);
    let ticks = server.ticks()?.saturating_sub(ticks);
    took.sort_unstable();
    let count = u64::try_from(took.len())?;
    let at = |per_mille: u64| -> Result<u64> {
        let place = usize::try_from(count.saturating_sub(1) * per_mille / 1_000)?;
        took.get(place).copied().context("no request was answered")
    };
    let requests_per_s = count * 1_000_000 / elapsed_us;
    Ok(Round {
        addresses_per_s: requests_per_s * kind.addresses,
        requests_per_s,
        p50_us: at(500)?,
        p99_us: at(990)?,
        p999_us: at(999)?,
        server_cpu_ns_per_address: ticks * 10_000_000 / (count * kind.addresses).max(1),
    })
}

/// A connection, and what has come that was not yet read.
struct Link {
    stream: TcpStream,
    bytes: Vec<u8>,
    from: usize,
}

impl Link {
    async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, bytes: Vec::with_capacity(64 * 1024), from: 0 })
    }

    fn left(&self) -> &[u8] {
        self.bytes.get(self.from..).unwrap_or_default()
    }

    async fn more(&mut self) -> Result<()> {
        if self.from == self.bytes.len() {
            self.bytes.clear();
            self.from = 0;
        }
        ensure!(self.stream.read_buf(&mut self.bytes).await? > 0, "the server closed the connection");
        Ok(())
    }

    /// A line without its end.
    async fn line(&mut self) -> Result<Vec<u8>> {
        loop {
            if let Some(end) = self.left().windows(2).position(|two| two == b"\r\n") {
                let line = self.left().get(..end).unwrap_or_default().to_vec();
                self.from += end + 2;
                return Ok(line);
            }
            self.more().await?;
        }
    }

    async fn take(&mut self, length: usize) -> Result<&[u8]> {
        while self.left().len() < length {
            self.more().await?;
        }
        let from = self.from;
        self.from += length;
        self.bytes.get(from..from + length).context("fewer bytes than there were")
    }

    async fn number(&mut self, mark: &str) -> Result<i64> {
        let line = String::from_utf8(self.line().await?)?;
        Ok(line.strip_prefix(mark).with_context(|| format!("{line:?}, want {mark}"))?.parse()?)
    }

    async fn value(&mut self) -> Result<Option<Vec<u8>>> {
        let Ok(length) = usize::try_from(self.number("$").await?) else { return Ok(None) };
        let bytes = self.take(length + 2).await?;
        Ok(Some(bytes.get(..length).unwrap_or_default().to_vec()))
    }

    async fn answer(&mut self, form: Form) -> Result<()> {
        match form {
            Form::Http => drop(self.http().await?),
            Form::RedisValue => drop(self.value().await?),
            Form::RedisValues => {
                for _ in 0..self.number("*").await? {
                    self.value().await?;
                }
            }
        }
        Ok(())
    }

    async fn http(&mut self) -> Result<Vec<u8>> {
        let end = loop {
            if let Some(end) = self.left().windows(4).position(|four| four == b"\r\n\r\n") {
                break end;
            }
            self.more().await?;
        };
        let head = self.left().get(..end).unwrap_or_default();
        ensure!(head.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(head));
        let mut headers = head.split(|byte| *byte == b'\n');
        let length = headers.find_map(|line| line.strip_prefix(b"content-length: ")).context("no length")?;
        let length = std::str::from_utf8(length)?.trim().parse()?;
        self.from += end + 4;
        self.take(length).await.map(<[u8]>::to_vec)
    }
}
