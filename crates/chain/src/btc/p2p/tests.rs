//! Rows for [`p2p`](super).

use bitcoin::{
    consensus::encode,
    p2p::{
        Magic, ServiceFlags, address,
        message::{NetworkMessage, RawNetworkMessage},
        message_blockdata, message_network,
    },
};
use kuraban_base::hex;

use super::{super::read::DecodeError, message::*, *};

const NETWORK: Network = Network::BtcRegtest;

fn samples() -> Vec<Message> {
    let entry = |kind, byte| Inventory { kind, hash: [byte; 32] };
    let kinds = [InventoryKind::Tx, InventoryKind::Block, InventoryKind::Wtx, InventoryKind::WitnessTx];
    let more = [InventoryKind::WitnessBlock, InventoryKind::MwebTx, InventoryKind::MwebBlock];
    let entries: Vec<_> =
        kinds.into_iter().chain(more).zip(1..).map(|(kind, byte)| entry(kind, byte)).collect();
    let locator =
        Locator { version: 70016, have: vec![NETWORK.genesis_hash()], stop: super::super::BlockHash::ZERO };
    let header = super::super::Header {
        version: 4,
        prev: NETWORK.genesis_hash(),
        merkle_root: super::super::MerkleRoot::from_bytes([7; 32]),
        time_s: 1,
        bits: 0x207f_ffff,
        nonce: 2,
    };
    let version = Version {
        version: PROTOCOL_VERSION,
        services: Services::NETWORK.with(Services::WITNESS),
        time_s: 1_700_000_000,
        receiver: PeerAddress { services: Services::NETWORK, address: "127.0.0.1:18444".parse().unwrap() },
        sender: PeerAddress::NOWHERE,
        nonce: 99,
        user_agent: "/kuraban:0/".into(),
        start_height: 7,
        relay: true,
    };
    vec![
        Message::Version(Box::new(version)),
        Message::Verack,
        Message::Ping(1),
        Message::Pong(u64::MAX),
        Message::Inv(entries.clone()),
        Message::GetData(entries),
        Message::NotFound(vec![]),
        Message::Headers(vec![header, header]),
        Message::GetHeaders(locator.clone()),
        Message::GetBlocks(locator),
        Message::GetAddr,
        Message::Mempool,
        Message::SendHeaders,
        Message::WtxidRelay,
        Message::FeeFilter(1000),
        Message::Reject(Reject {
            command: "tx".into(),
            code: 0x42,
            reason: "dust".into(),
            hash: Some([3; 32]),
        }),
    ]
}

fn parsed(bytes: &[u8]) -> Message {
    let frame = Frame::split(NETWORK, bytes).unwrap().unwrap();
    assert_eq!(frame.length, bytes.len());
    frame.message(NETWORK).unwrap()
}

#[test]
fn messages_round_trip_and_the_peer_crate_spells_them_alike() {
    for message in samples() {
        let bytes = message.encode(NETWORK);
        assert_eq!(parsed(&bytes), message);
        let theirs: RawNetworkMessage = encode::deserialize(&bytes).unwrap();
        assert_eq!(theirs.cmd(), message.command().name());
        assert_eq!(hex::encode(&encode::serialize(&theirs)), hex::encode(&bytes), "{message:?}");
    }
}

#[test]
fn messages_of_the_peer_crate_are_read() {
    let here = address::Address::new(&"10.1.2.3:8333".parse().unwrap(), ServiceFlags::WITNESS);
    let version = message_network::VersionMessage {
        version: 70015,
        services: ServiceFlags::NETWORK,
        timestamp: -5,
        receiver: here.clone(),
        sender: here,
        nonce: 3,
        user_agent: "/other:1/".into(),
        start_height: 12,
        relay: false,
    };
    let raw = RawNetworkMessage::new(Magic::REGTEST, NetworkMessage::Version(version));
    let Message::Version(version) = parsed(&encode::serialize(&raw)) else { panic!("want a version") };
    assert_eq!((version.time_s, version.start_height, version.relay), (-5, 12, false));
    assert_eq!(version.sender.address, "10.1.2.3:8333".parse().unwrap());
    assert!(version.sender.services.has(Services::WITNESS));
    let inventory = vec![message_blockdata::Inventory::WitnessBlock(bitcoin::hashes::Hash::all_zeros())];
    let raw = RawNetworkMessage::new(Magic::REGTEST, NetworkMessage::GetData(inventory));
    let want = Inventory { kind: InventoryKind::WitnessBlock, hash: [0; 32] };
    assert_eq!(parsed(&encode::serialize(&raw)), Message::GetData(vec![want]));
    let raw = RawNetworkMessage::new(Magic::REGTEST, NetworkMessage::Addr(vec![]));
    let unknown = parsed(&encode::serialize(&raw));
    assert!(matches!(&unknown, Message::Unknown { command, length: 1 } if command.name() == "addr"));
}

#[test]
fn a_frame_cut_short_waits_and_a_payload_cut_short_is_refused() {
    for message in samples() {
        let bytes = message.encode(NETWORK);
        for length in 0..bytes.len() {
            assert_eq!(Frame::split(NETWORK, &bytes[..length]), Ok(None), "{message:?} at {length}");
        }
        let payload = message.payload();
        for length in 0..payload.len() {
            // Two fields may be left out at the end of a message.
            let optional = (matches!(message, Message::Version(_)) && length == payload.len() - 1)
                || (matches!(message, Message::Reject(_)) && length == payload.len() - 32);
            let decoded = Message::decode(NETWORK, message.command(), &payload[..length]);
            assert_eq!(decoded.is_ok(), optional, "{message:?} at {length}");
        }
        let longer = [payload.as_slice(), &[0]].concat();
        assert!(Message::decode(NETWORK, message.command(), &longer).is_err(), "{message:?}");
    }
}

#[test]
fn frames_are_refused_as_soon_as_their_header_shows_why() {
    let good = Message::Ping(1).encode(NETWORK);
    let with = |at: usize, bytes: &[u8]| {
        let mut frame = good.clone();
        frame.splice(at..at + bytes.len(), bytes.iter().copied());
        frame
    };
    let error = |bytes: &[u8]| Frame::split(NETWORK, bytes).unwrap_err().to_string();
    assert_eq!(
        error(&with(0, &[1])[..4]),
        "frame starts with [01, bf, b5, da], want [fa, bf, b5, da] for bitcoin-regtest"
    );
    assert!(error(&with(4, &[0])[..16]).ends_with("is not printable ASCII filled up with zeros"));
    assert!(error(&with(15, b"x")[..16]).ends_with("is not printable ASCII filled up with zeros"));
    assert_eq!(error(&with(16, &[9])[..20]), "payload of ping has 9 bytes, limit 8");
    assert_eq!(
        error(&with(4, b"block\0\0\0\0\0\0\0\x01\x09\x3d\x00")[..20]),
        "payload of block has 4000001 bytes, limit 4000000"
    );
    assert!(error(&with(24, &[9])).starts_with("payload of ping has the checksum "));
}

#[test]
fn limits_hold_at_themselves_and_one_beyond() {
    let entries = |count| vec![Inventory { kind: InventoryKind::Tx, hash: [0; 32] }; count];
    let check = |message: Message, want: bool| {
        let bytes = message.encode(NETWORK);
        let read = Frame::split(NETWORK, &bytes).is_ok_and(|frame| frame.unwrap().message(NETWORK).is_ok());
        assert_eq!(read, want, "{}", message.command());
        let direct = Message::decode(NETWORK, message.command(), &message.payload());
        assert_eq!(direct.is_ok(), want, "{}", message.command());
    };
    check(Message::Inv(entries(INVENTORY_MAX)), true);
    check(Message::Inv(entries(INVENTORY_MAX + 1)), false);
    let locator = |count| Locator {
        version: 1,
        have: vec![super::super::BlockHash::ZERO; count],
        stop: super::super::BlockHash::ZERO,
    };
    check(Message::GetHeaders(locator(LOCATOR_MAX)), true);
    check(Message::GetHeaders(locator(LOCATOR_MAX + 1)), false);
    let Message::Version(version) = samples().remove(0) else { panic!("want a version") };
    let agent =
        |count| Message::Version(Box::new(Version { user_agent: "a".repeat(count), ..*version.clone() }));
    check(agent(USER_AGENT_BYTES_MAX), true);
    check(agent(USER_AGENT_BYTES_MAX + 1), false);
    let Message::Headers(headers) = samples().remove(7) else { panic!("want headers") };
    check(Message::Headers(vec![headers[0]; HEADERS_MAX]), true);
    check(Message::Headers(vec![headers[0]; HEADERS_MAX + 1]), false);
}

#[test]
fn a_header_with_transactions_behind_it_is_refused() {
    let mut payload = samples()[7].payload();
    payload[81] = 1;
    let error = Message::decode(NETWORK, samples()[7].command(), &payload).unwrap_err();
    assert!(matches!(error, DecodeError::Unexpected { at: 81, found: 1, .. }), "{error}");
}
