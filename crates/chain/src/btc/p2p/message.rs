//! The messages themselves.
//!
//! Decides whether a payload is well-formed for its command. Commands not named here are told by name and
//! length, and their payload is not kept.

use core::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::{
    super::{
        block::{Block, Header},
        hash::BlockHash,
        network::Network,
        read::{DecodeError, Reader},
        tx::Tx,
        write,
    },
    BTC_PAYLOAD_BYTES_MAX, Command, LTC_PAYLOAD_BYTES_MAX,
};

/// Most entries of an inventory (`MAX_INV_SZ`).
pub const INVENTORY_MAX: usize = 50_000;
/// Most headers in one message (`MAX_HEADERS_RESULTS`).
pub const HEADERS_MAX: usize = 2_000;
/// Most hashes of a locator (`MAX_LOCATOR_SZ`).
pub const LOCATOR_MAX: usize = 101;
/// Longest name that a peer may give its software (`MAX_SUBVERSION_LENGTH`).
pub const USER_AGENT_BYTES_MAX: usize = 256;
/// Longest reason that a peer may give (`MAX_REJECT_MESSAGE_LENGTH`).
pub const REASON_BYTES_MAX: usize = 111;

const ENTRY_BYTES: usize = 36;
const HEADER_ENTRY_BYTES: usize = 81;

macro_rules! commands {
    ($($constant:ident = $name:literal;)*) => {$(
        const $constant: Command = Command::named($name);
    )*};
}

commands! {
    VERSION = b"version";
    VERACK = b"verack";
    PING = b"ping";
    PONG = b"pong";
    INV = b"inv";
    GETDATA = b"getdata";
    NOTFOUND = b"notfound";
    TX = b"tx";
    BLOCK = b"block";
    HEADERS = b"headers";
    GETHEADERS = b"getheaders";
    GETBLOCKS = b"getblocks";
    GETADDR = b"getaddr";
    MEMPOOL = b"mempool";
    SENDHEADERS = b"sendheaders";
    WTXIDRELAY = b"wtxidrelay";
    FEEFILTER = b"feefilter";
    REJECT = b"reject";
}

/// What a peer offers, as bits (`ServiceFlags`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Services(pub u64);

impl Services {
    /// Whole blocks.
    pub const NETWORK: Self = Self(1);
    /// Blocks and transactions with witnesses (BIP 144).
    pub const WITNESS: Self = Self(1 << 3);
    /// The last 288 blocks at least (BIP 159).
    pub const NETWORK_LIMITED: Self = Self(1 << 10);
    /// Litecoin's extension blocks.
    pub const MWEB: Self = Self(1 << 24);

    /// Both sets of bits.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all bits of `other` are set.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// An address as `version` carries it: IPv4 mapped into IPv6.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct PeerAddress {
    /// What the peer offers.
    pub services: Services,
    /// Where it is.
    pub address: SocketAddr,
}

impl PeerAddress {
    /// Nowhere: what nodes put where they do not want to tell.
    pub const NOWHERE: Self =
        Self { services: Services(0), address: SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0) };

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let services = Services(reader.u64("address services")?);
        let ip = Ipv6Addr::from(reader.array::<16>("IP address")?).to_canonical();
        let port = u16::from_be_bytes(reader.array("port")?);
        Ok(Self { services, address: SocketAddr::new(ip, port) })
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.services.0.to_le_bytes());
        let ip = match self.address.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        out.extend_from_slice(&ip.octets());
        out.extend_from_slice(&self.address.port().to_be_bytes());
    }
}

/// How a peer introduces itself.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Version {
    /// The protocol version it speaks.
    pub version: i32,
    /// What it offers.
    pub services: Services,
    /// Its clock, in seconds since 1970-01-01 00:00:00 UTC.
    pub time_s: i64,
    /// How it sees us.
    pub receiver: PeerAddress,
    /// How it sees itself.
    pub sender: PeerAddress,
    /// A random number by which a node knows a connection to itself.
    pub nonce: u64,
    /// Its software's name.
    pub user_agent: String,
    /// The height of its best block, as it says.
    pub start_height: i32,
    /// Whether it wants transactions announced (BIP 37).
    pub relay: bool,
}

/// What an inventory entry names.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum InventoryKind {
    /// A transaction by its txid; in `getdata`, without witness.
    Tx,
    /// A block; in `getdata`, without witnesses.
    Block,
    /// A transaction by its wtxid (BIP 339).
    Wtx,
    /// A transaction by its txid, with witness (BIP 144).
    WitnessTx,
    /// A block with witnesses (BIP 144).
    WitnessBlock,
    /// A transaction with witness and extension data (Litecoin).
    MwebTx,
    /// A block with witnesses and extension block (Litecoin).
    MwebBlock,
    /// Anything else, by its number.
    Other(u32),
}

const FLAG_WITNESS: u32 = 1 << 30;
const FLAG_MWEB: u32 = 1 << 29;
const KIND_TX: u32 = 1;
const KIND_BLOCK: u32 = 2;
const KIND_WTX: u32 = 5;
const KIND_WITNESS_TX: u32 = KIND_TX | FLAG_WITNESS;
const KIND_WITNESS_BLOCK: u32 = KIND_BLOCK | FLAG_WITNESS;
const KIND_MWEB_TX: u32 = KIND_WITNESS_TX | FLAG_MWEB;
const KIND_MWEB_BLOCK: u32 = KIND_WITNESS_BLOCK | FLAG_MWEB;

impl InventoryKind {
    /// How to ask for a whole transaction on this network.
    #[must_use]
    pub const fn whole_tx(network: Network) -> Self {
        if network.has_mweb() { Self::MwebTx } else { Self::WitnessTx }
    }

    /// How to ask for a whole block on this network.
    #[must_use]
    pub const fn whole_block(network: Network) -> Self {
        if network.has_mweb() { Self::MwebBlock } else { Self::WitnessBlock }
    }

    /// Its number; one kind for each number, so that decoding and encoding are inverse.
    #[must_use]
    pub const fn number(self) -> u32 {
        match self {
            Self::Tx => KIND_TX,
            Self::Block => KIND_BLOCK,
            Self::Wtx => KIND_WTX,
            Self::WitnessTx => KIND_WITNESS_TX,
            Self::WitnessBlock => KIND_WITNESS_BLOCK,
            Self::MwebTx => KIND_MWEB_TX,
            Self::MwebBlock => KIND_MWEB_BLOCK,
            Self::Other(number) => number,
        }
    }

    const fn of(number: u32) -> Self {
        match number {
            KIND_TX => Self::Tx,
            KIND_BLOCK => Self::Block,
            KIND_WTX => Self::Wtx,
            KIND_WITNESS_TX => Self::WitnessTx,
            KIND_WITNESS_BLOCK => Self::WitnessBlock,
            KIND_MWEB_TX => Self::MwebTx,
            KIND_MWEB_BLOCK => Self::MwebBlock,
            number => Self::Other(number),
        }
    }
}

/// An inventory entry.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Inventory {
    /// What it names.
    pub kind: InventoryKind,
    /// Its hash, in the order in which it was hashed out.
    pub hash: [u8; 32],
}

/// Where the asker's chain is, the newest block first, and where to stop.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Locator {
    /// The protocol version it speaks.
    pub version: u32,
    /// Blocks it has, denser near the tip.
    pub have: Vec<BlockHash>,
    /// The last block wanted; zero for as many as fit.
    pub stop: BlockHash,
}

/// A refusal (BIP 61). Sent by old nodes; Litecoin's still can.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Reject {
    /// The command refused.
    pub command: String,
    /// Its code.
    pub code: u8,
    /// Why, for people.
    pub reason: String,
    /// What was refused, where the command names one thing.
    pub hash: Option<[u8; 32]>,
}

/// A message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Message {
    /// Introduces a peer.
    Version(Box<Version>),
    /// Accepts the introduction.
    Verack,
    /// Asks for an answer with the same number.
    Ping(u64),
    /// The answer.
    Pong(u64),
    /// Announces.
    Inv(Vec<Inventory>),
    /// Asks for what was announced.
    GetData(Vec<Inventory>),
    /// Names what was asked for and is not there.
    NotFound(Vec<Inventory>),
    /// A transaction.
    Tx(Box<Tx>),
    /// A block.
    Block(Box<Block>),
    /// Headers, in order.
    Headers(Vec<Header>),
    /// Asks for headers.
    GetHeaders(Locator),
    /// Asks for an inventory of blocks.
    GetBlocks(Locator),
    /// Asks for addresses of peers.
    GetAddr,
    /// Asks for an inventory of the mempool (BIP 35).
    Mempool,
    /// Asks for blocks to be announced by header (BIP 130).
    SendHeaders,
    /// Asks for transactions to be announced by wtxid (BIP 339).
    WtxidRelay,
    /// Base units per 1000 virtual bytes below which the peer wants no announcements (BIP 133).
    FeeFilter(u64),
    /// Refuses.
    Reject(Reject),
    /// Any other command; its payload is not kept.
    Unknown {
        /// The command.
        command: Command,
        /// Bytes of its payload.
        length: usize,
    },
}

impl Message {
    /// Its command.
    #[must_use]
    pub const fn command(&self) -> Command {
        match self {
            Self::Version(_) => VERSION,
            Self::Verack => VERACK,
            Self::Ping(_) => PING,
            Self::Pong(_) => PONG,
            Self::Inv(_) => INV,
            Self::GetData(_) => GETDATA,
            Self::NotFound(_) => NOTFOUND,
            Self::Tx(_) => TX,
            Self::Block(_) => BLOCK,
            Self::Headers(_) => HEADERS,
            Self::GetHeaders(_) => GETHEADERS,
            Self::GetBlocks(_) => GETBLOCKS,
            Self::GetAddr => GETADDR,
            Self::Mempool => MEMPOOL,
            Self::SendHeaders => SENDHEADERS,
            Self::WtxidRelay => WTXIDRELAY,
            Self::FeeFilter(_) => FEEFILTER,
            Self::Reject(_) => REJECT,
            Self::Unknown { command, .. } => *command,
        }
    }

    /// The longest payload that a command may have.
    #[must_use]
    pub fn payload_bytes_max(network: Network, command: Command) -> usize {
        let any = if network.has_mweb() { LTC_PAYLOAD_BYTES_MAX } else { BTC_PAYLOAD_BYTES_MAX };
        // A count takes three bytes where it is at most 65,535.
        let list = |entries: usize, bytes: usize| entries.saturating_mul(bytes).saturating_add(3);
        match command {
            VERACK | GETADDR | MEMPOOL | SENDHEADERS | WTXIDRELAY => 0,
            PING | PONG | FEEFILTER => 8,
            VERSION => USER_AGENT_BYTES_MAX.saturating_add(88),
            INV | GETDATA | NOTFOUND => list(INVENTORY_MAX, ENTRY_BYTES),
            HEADERS => list(HEADERS_MAX, HEADER_ENTRY_BYTES),
            GETHEADERS | GETBLOCKS => list(LOCATOR_MAX, 32).saturating_add(36),
            REJECT => REASON_BYTES_MAX.saturating_add(64),
            _other => any,
        }
    }

    /// The message of this command that the payload is, all of it.
    ///
    /// # Errors
    /// What is malformed, with offsets into the payload.
    pub fn decode(network: Network, command: Command, payload: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(payload);
        let message = match command {
            VERSION => Self::Version(Box::new(read_version(&mut reader)?)),
            VERACK => Self::Verack,
            PING => Self::Ping(reader.u64("ping number")?),
            PONG => Self::Pong(reader.u64("pong number")?),
            INV => Self::Inv(read_inventory(&mut reader)?),
            GETDATA => Self::GetData(read_inventory(&mut reader)?),
            NOTFOUND => Self::NotFound(read_inventory(&mut reader)?),
            TX => return Tx::decode(network, payload).map(|tx| Self::Tx(Box::new(tx))),
            BLOCK => return Block::decode(network, payload).map(|block| Self::Block(Box::new(block))),
            HEADERS => Self::Headers(read_headers(&mut reader)?),
            GETHEADERS => Self::GetHeaders(read_locator(&mut reader)?),
            GETBLOCKS => Self::GetBlocks(read_locator(&mut reader)?),
            GETADDR => Self::GetAddr,
            MEMPOOL => Self::Mempool,
            SENDHEADERS => Self::SendHeaders,
            WTXIDRELAY => Self::WtxidRelay,
            FEEFILTER => Self::FeeFilter(reader.u64("fee rate")?),
            REJECT => Self::Reject(read_reject(&mut reader)?),
            command => return Ok(Self::Unknown { command, length: payload.len() }),
        };
        reader.finish("message")?;
        Ok(message)
    }

    /// Its payload. That of an unknown command was not kept and is empty: such a message is for reading only.
    #[must_use]
    pub fn payload(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::Version(version) => write_version(&mut out, version),
            Self::Ping(number) | Self::Pong(number) | Self::FeeFilter(number) => {
                out.extend_from_slice(&number.to_le_bytes());
            }
            Self::Inv(entries) | Self::GetData(entries) | Self::NotFound(entries) => {
                write::compact_size(&mut out, entries.len());
                for entry in entries {
                    out.extend_from_slice(&entry.kind.number().to_le_bytes());
                    out.extend_from_slice(&entry.hash);
                }
            }
            Self::Tx(tx) => out = tx.encode(),
            Self::Block(block) => out = block.encode(),
            Self::Headers(headers) => {
                write::compact_size(&mut out, headers.len());
                for header in headers {
                    header.write(&mut out);
                    // A count of transactions, which is always zero.
                    out.push(0);
                }
            }
            Self::GetHeaders(locator) | Self::GetBlocks(locator) => {
                out.extend_from_slice(&locator.version.to_le_bytes());
                write::compact_size(&mut out, locator.have.len());
                locator.have.iter().for_each(|hash| out.extend_from_slice(hash.as_bytes()));
                out.extend_from_slice(locator.stop.as_bytes());
            }
            Self::Reject(reject) => {
                write::bytes(&mut out, reject.command.as_bytes());
                out.push(reject.code);
                write::bytes(&mut out, reject.reason.as_bytes());
                out.extend_from_slice(reject.hash.as_ref().map_or(&[], <[u8; 32]>::as_slice));
            }
            Self::Verack
            | Self::GetAddr
            | Self::Mempool
            | Self::SendHeaders
            | Self::WtxidRelay
            | Self::Unknown { .. } => {}
        }
        out
    }
}

fn read_inventory(reader: &mut Reader<'_>) -> Result<Vec<Inventory>, DecodeError> {
    let count = reader.count("number of inventory entries", ENTRY_BYTES, INVENTORY_MAX)?;
    let mut entries = Vec::with_capacity(count);
    for _ in 0..count {
        let kind = InventoryKind::of(reader.u32("inventory kind")?);
        entries.push(Inventory { kind, hash: reader.array("inventory hash")? });
    }
    Ok(entries)
}

fn read_headers(reader: &mut Reader<'_>) -> Result<Vec<Header>, DecodeError> {
    let count = reader.count("number of headers", HEADER_ENTRY_BYTES, HEADERS_MAX)?;
    let mut headers = Vec::with_capacity(count);
    for _ in 0..count {
        headers.push(Header::read(reader)?);
        let at = reader.offset();
        let found = u64::from(reader.u8("number of transactions")?);
        if found != 0 {
            let what = "number of transactions after a header";
            return Err(DecodeError::Unexpected { what, at, found, want: "0" });
        }
    }
    Ok(headers)
}

fn read_locator(reader: &mut Reader<'_>) -> Result<Locator, DecodeError> {
    let version = reader.u32("protocol version")?;
    let count = reader.count("number of locator hashes", 32, LOCATOR_MAX)?;
    let mut have = Vec::with_capacity(count);
    for _ in 0..count {
        have.push(BlockHash::from_bytes(reader.array("locator hash")?));
    }
    Ok(Locator { version, have, stop: BlockHash::from_bytes(reader.array("stop hash")?) })
}

fn read_version(reader: &mut Reader<'_>) -> Result<Version, DecodeError> {
    Ok(Version {
        version: reader.i32("protocol version")?,
        services: Services(reader.u64("services")?),
        time_s: i64::from_le_bytes(reader.array("peer's time")?),
        receiver: PeerAddress::read(reader)?,
        sender: PeerAddress::read(reader)?,
        nonce: reader.u64("nonce")?,
        user_agent: read_text(reader, "user agent", USER_AGENT_BYTES_MAX)?,
        start_height: reader.i32("start height")?,
        relay: read_relay(reader)?,
    })
}

/// Left out by peers that know no BIP 37, which then want everything announced.
fn read_relay(reader: &mut Reader<'_>) -> Result<bool, DecodeError> {
    if reader.rest().is_empty() {
        return Ok(true);
    }
    let at = reader.offset();
    match reader.u8("relay")? {
        0 => Ok(false),
        1 => Ok(true),
        found => Err(DecodeError::Unexpected { what: "relay", at, found: u64::from(found), want: "0 or 1" }),
    }
}

fn write_version(out: &mut Vec<u8>, version: &Version) {
    out.extend_from_slice(&version.version.to_le_bytes());
    out.extend_from_slice(&version.services.0.to_le_bytes());
    out.extend_from_slice(&version.time_s.to_le_bytes());
    version.receiver.write(out);
    version.sender.write(out);
    out.extend_from_slice(&version.nonce.to_le_bytes());
    write::bytes(out, version.user_agent.as_bytes());
    out.extend_from_slice(&version.start_height.to_le_bytes());
    out.push(u8::from(version.relay));
}

fn read_reject(reader: &mut Reader<'_>) -> Result<Reject, DecodeError> {
    let command = read_text(reader, "refused command", 12)?;
    let code = reader.u8("refusal code")?;
    let reason = read_text(reader, "refusal reason", REASON_BYTES_MAX)?;
    let hash = if reader.rest().is_empty() { None } else { Some(reader.array("refused hash")?) };
    Ok(Reject { command, code, reason, hash })
}

/// Text of a peer, for people to read: every character that is not printable ASCII becomes `?`.
fn read_text(reader: &mut Reader<'_>, what: &'static str, max: usize) -> Result<String, DecodeError> {
    let at = reader.offset();
    let bytes = reader.bytes(what)?;
    if bytes.len() > max {
        let wide = |number| u64::try_from(number).unwrap_or(u64::MAX);
        return Err(DecodeError::Oversized { what, at, found: wide(bytes.len()), limit: wide(max) });
    }
    let printable = |byte: &u8| if (0x20..0x7f).contains(byte) { char::from(*byte) } else { '?' };
    Ok(bytes.iter().map(printable).collect())
}
