//! `kuraban node`: the embedded chain behind real sockets, so that everything else treats it as it treats a
//! real node.
//!
//! Decides nothing about transactions and blocks: the chain in `sim` does. Listens on loopback only, keeps
//! everything in memory.

mod http;
mod p2p;
mod rpc;
mod world;

use std::{
    fs::OpenOptions,
    io::Write as _,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};

use anyhow::{Context as _, ensure};
use clap::Subcommand;
use kuraban_chain::btc::{Address, Network, Script};
use kuraban_sim::chain::{Chain, Regtest};
use serde_json::json;

use world::World;

use crate::{
    fail::Failure,
    say::{Report, Say},
};

/// Which node.
#[derive(Subcommand)]
pub(crate) enum Args {
    /// A regression test chain that lives in memory and ends with this process.
    Embedded(Embedded),
}

/// The embedded node's settings.
#[derive(clap::Args)]
pub(crate) struct Embedded {
    /// `bitcoin-regtest` or `litecoin-regtest`.
    #[arg(long)]
    network: Network,
    /// Where peers connect; port 0 for any free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    p2p: SocketAddr,
    /// Where the JSON-RPC listens; none without it.
    #[arg(long, requires = "cookie")]
    rpc: Option<SocketAddr>,
    /// The file that user and password of the JSON-RPC are written to.
    #[arg(long)]
    cookie: Option<PathBuf>,
    /// Makes a block every so many milliseconds. Without it, blocks are made only when the JSON-RPC is told to.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    block_ms: Option<u64>,
    /// Who gets what those blocks bring; burnt without it.
    #[arg(long, requires = "block_ms")]
    pay_to: Option<String>,
}

/// Runs the node until the process is ended.
///
/// # Errors
/// What could not be set up.
pub(crate) fn run(args: Args, say: &Say) -> Result<Report, Failure> {
    let Args::Embedded(args) = args;
    serve(&args, say).map_err(Failure::Undone)
}

fn serve(args: &Embedded, say: &Say) -> anyhow::Result<Report> {
    let regtest = Regtest::try_from(args.network)?;
    let pays = pays(args)?;
    let world = Arc::new(World::new(Chain::new(regtest)));
    let p2p = listen(args.p2p).context("peers")?;
    let mut said = json!({
        "network": args.network.name(),
        "p2p": p2p.local_addr()?.to_string(),
        "pid": std::process::id(),
    });
    let mut threads = vec![spawn("p2p", {
        let world = Arc::clone(&world);
        move || p2p::serve(&world, &p2p)
    })?];
    if let (Some(address), Some(cookie)) = (args.rpc, &args.cookie) {
        let rpc = listen(address).context("JSON-RPC")?;
        let address = rpc.local_addr()?.to_string();
        let secret = write_cookie(cookie).with_context(|| format!("cannot write {}", cookie.display()))?;
        let world = Arc::clone(&world);
        threads.push(spawn("rpc", move || http::serve(&world, &rpc, &secret))?);
        if let Some(said) = said.as_object_mut() {
            said.insert("rpc".to_owned(), address.into());
        }
    }
    if let Some(every) = args.block_ms.map(Duration::from_millis) {
        let world = Arc::clone(&world);
        threads.push(spawn("miner", move || mine(&world, every, &pays))?);
    }
    say.announce(&said)?;
    // None of them ends but by an error, after which there is no node any more.
    for thread in threads {
        let outcome = thread.join().map_err(|_| anyhow::anyhow!("a thread of the node failed"))?;
        outcome?;
    }
    Ok(Report::silent())
}

fn pays(args: &Embedded) -> anyhow::Result<Script> {
    /// OP_RETURN: nobody can spend it.
    const BURNS: u8 = 0x6a;
    match &args.pay_to {
        Some(text) => Ok(Address::parse(args.network, text).context("--pay-to")?.script()),
        None => Ok(Script::new(vec![BURNS])),
    }
}

fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    // Its chain is worth nothing and it believes everyone: no machine but this one may speak to it.
    ensure!(address.ip().is_loopback(), "{address} is not a loopback address, want one such as 127.0.0.1:0");
    TcpListener::bind(address).with_context(|| format!("cannot listen on {address}"))
}

fn spawn(
    name: &str,
    act: impl FnOnce() -> anyhow::Result<()> + Send + 'static,
) -> anyhow::Result<thread::JoinHandle<anyhow::Result<()>>> {
    thread::Builder::new().name(name.to_owned()).spawn(act).context("cannot start a thread")
}

fn mine(world: &World, every: Duration, pays: &Script) -> anyhow::Result<()> {
    loop {
        thread::sleep(every);
        world.mine(pays.clone())?;
    }
}

/// Writes a fresh `user:password` that only this user can read, as real nodes do, and returns it.
fn write_cookie(file: &Path) -> anyhow::Result<String> {
    let mut random = [0; 32];
    getrandom::getrandom(&mut random).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
    let secret = format!("__cookie__:{}", kuraban_base::hex::encode(&random));
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(file)?.write_all(secret.as_bytes())?;
    Ok(secret)
}
