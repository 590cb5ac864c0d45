//! The P2P client against peers that are old, silent, malformed or on another network.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::mpsc::{Receiver, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use kuraban_chain::btc::{
    Network, Txid,
    p2p::{Frame, FrameError, Inventory, InventoryKind, Message, PeerAddress, Services, Version},
};
use kuraban_node::p2p::{Arrived, Client, Closed, Event, Request, RequestError, Settings};

const NETWORK: Network = Network::BtcRegtest;
const WITHIN: Duration = Duration::from_secs(20);

/// A peer's end of one connection.
struct Peer {
    socket: TcpStream,
    bytes: Vec<u8>,
}

impl Peer {
    fn say(&mut self, message: &Message) {
        self.raw(&message.encode(NETWORK));
    }

    fn raw(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).unwrap();
    }

    /// The next message; `None` when the client has closed.
    fn hear(&mut self) -> Option<Message> {
        loop {
            if let Some(frame) = Frame::split(NETWORK, &self.bytes).unwrap() {
                let (message, length) = (frame.message(NETWORK).unwrap(), frame.length);
                self.bytes.drain(..length);
                return Some(message);
            }
            let mut some = [0; 4_096];
            match self.socket.read(&mut some) {
                Ok(0) | Err(_) => return None,
                Ok(count) => self.bytes.extend_from_slice(&some[..count]),
            }
        }
    }

    /// Hears until the message comes.
    fn await_message(&mut self, want: impl Fn(&Message) -> bool) {
        while !want(&self.hear().unwrap()) {}
    }

    /// Introduces itself as a usable node does, up to the ping that ends it.
    fn introduce(&mut self) {
        self.say(&Message::Version(Box::new(version())));
        self.say(&Message::Verack);
        loop {
            if let Message::Ping(number) = self.hear().unwrap() {
                self.say(&Message::Pong(number));
                return;
            }
        }
    }

    /// Stays silent until the client closes.
    fn stay(&mut self) {
        while self.hear().is_some() {}
    }
}

fn version() -> Version {
    Version {
        version: 70_016,
        services: Services::NETWORK.with(Services::WITNESS),
        time_s: 0,
        receiver: PeerAddress::NOWHERE,
        sender: PeerAddress::NOWHERE,
        nonce: 7,
        user_agent: "/hostile/".to_owned(),
        start_height: 3,
        relay: true,
    }
}

fn settings(address: String) -> Settings {
    Settings {
        handshake_within: Duration::from_millis(300),
        silent_within: Duration::from_millis(300),
        retry_after: Duration::from_millis(1),
        retry_after_max: Duration::from_millis(10),
        ..Settings::near(NETWORK, address)
    }
}

/// A client whose every connection meets a peer that acts so.
fn meet(act: fn(&mut Peer)) -> (Client, Receiver<Arrived>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (client, events) = Client::start(settings(listener.local_addr().unwrap().to_string())).unwrap();
    thread::spawn(move || {
        while let Ok((socket, _)) = listener.accept() {
            // A client that went away has the peer's script fail, which is its end only.
            let peer = move || act(&mut Peer { socket, bytes: Vec::new() });
            drop(thread::spawn(peer).join());
        }
    });
    (client, events)
}

fn next(events: &Receiver<Arrived>) -> Event {
    events.recv_timeout(WITHIN).unwrap().event
}

/// How the first connection to such a peer ends.
fn end(act: fn(&mut Peer)) -> Closed {
    let (_client, events) = meet(act);
    loop {
        if let Event::Closed(closed) = next(&events) {
            return closed;
        }
    }
}

#[test]
fn peers_that_are_no_usable_node_are_left() {
    assert!(matches!(end(|peer| peer.raw(&[0; 24])), Closed::Frame(FrameError::Magic { .. })));
    assert!(matches!(end(|_| {}), Closed::ByNode | Closed::Socket(_)));
    let order = end(|peer| {
        peer.say(&Message::Verack);
        peer.stay();
    });
    assert_eq!(order.to_string(), "node sent verack before it had introduced itself");
    let old = end(|peer| {
        peer.say(&Message::Version(Box::new(Version { version: 70_011, ..version() })));
        peer.stay();
    });
    assert_eq!(old.to_string(), "node speaks protocol 70011, want at least 70012");
    let bare = end(|peer| {
        peer.say(&Message::Version(Box::new(Version { services: Services::NETWORK, ..version() })));
        peer.stay();
    });
    assert_eq!(bare.to_string(), "node offers services 0x1, want recent blocks with witnesses");
    let empty = end(|peer| {
        let services = Services::WITNESS;
        peer.say(&Message::Version(Box::new(Version { services, ..version() })));
        peer.stay();
    });
    assert!(matches!(empty, Closed::Services { found: 8 }));
}

#[test]
fn the_oldest_usable_node_is_used() {
    let (_client, events) = meet(|peer| {
        let services = Services::NETWORK_LIMITED.with(Services::WITNESS);
        let oldest = Version { version: 70_012, services, ..version() };
        peer.say(&Message::Version(Box::new(oldest)));
        peer.say(&Message::Verack);
        peer.await_message(|message| *message == Message::Ping(u64::MAX));
        peer.say(&Message::Pong(u64::MAX));
        peer.stay();
    });
    assert!(
        matches!(next(&events), Event::Ready(ready) if ready.version == 70_012 && ready.start_height == 3)
    );
}

#[test]
fn introductions_have_to_come_in_time() {
    let check = |act: fn(&mut Peer)| assert!(matches!(end(act), Closed::Handshake { .. }));
    check(Peer::stay);
    check(|peer| {
        peer.say(&Message::Version(Box::new(version())));
        peer.stay();
    });
    // Agrees, but never answers the ping.
    check(|peer| {
        peer.say(&Message::Version(Box::new(version())));
        peer.say(&Message::Verack);
        peer.stay();
    });
    // Talks instead of answering.
    check(|peer| {
        peer.say(&Message::Version(Box::new(version())));
        peer.say(&Message::Verack);
        (0..300).for_each(|_| peer.say(&Message::FeeFilter(0)));
        peer.stay();
    });
}

#[test]
fn silence_ends_a_connection_and_another_one_follows() {
    let (_client, events) = meet(|peer| {
        peer.introduce();
        peer.stay();
    });
    for _ in 0..2 {
        assert!(matches!(next(&events), Event::Ready(_)));
        let start = Instant::now();
        assert!(matches!(next(&events), Event::Closed(Closed::Silent { .. })));
        assert!(start.elapsed() >= Duration::from_millis(200), "{:?}", start.elapsed());
    }
}

#[test]
fn half_a_message_is_silence_too() {
    let closed = end(|peer| {
        peer.introduce();
        let whole = Message::FeeFilter(1).encode(NETWORK);
        peer.raw(&whole[..whole.len() - 1]);
        peer.stay();
    });
    assert!(matches!(closed, Closed::Silent { .. }), "{closed}");
}

#[test]
fn what_came_while_introducing_is_handed_on_in_order() {
    let (_client, events) = meet(|peer| {
        peer.say(&Message::Version(Box::new(version())));
        peer.say(&Message::Verack);
        let named = |kind, byte| Inventory { kind, hash: [byte; 32] };
        let entries = vec![
            named(InventoryKind::Tx, 1),
            named(InventoryKind::Block, 2),
            named(InventoryKind::Wtx, 3),
            named(InventoryKind::Other(9), 4),
        ];
        peer.say(&Message::Inv(entries));
        peer.say(&Message::Ping(5));
        peer.await_message(|message| *message == Message::Ping(u64::MAX));
        peer.await_message(|message| *message == Message::Pong(5));
        peer.say(&Message::Pong(u64::MAX));
        peer.say(&Message::Headers(Vec::new()));
        peer.stay();
    });
    assert!(matches!(next(&events), Event::Ready(_)));
    assert!(matches!(next(&events), Event::InvTx(txids) if txids == [Txid::from_bytes([1; 32])]));
    assert!(matches!(next(&events), Event::InvBlock(hashes) if hashes.len() == 1));
    assert!(matches!(next(&events), Event::Headers(headers) if headers.is_empty()));
}

#[test]
fn malformed_messages_are_told_and_frames_end_the_connection() {
    let (_client, events) = meet(|peer| {
        peer.introduce();
        // A transaction cut short, in a frame that is whole.
        let mut tx = Message::FeeFilter(7).encode(NETWORK);
        tx[4..16].copy_from_slice(b"tx\0\0\0\0\0\0\0\0\0\0");
        peer.raw(&tx);
        peer.say(&Message::NotFound(vec![Inventory { kind: InventoryKind::WitnessTx, hash: [6; 32] }]));
        // A ping's header that announces nine bytes.
        let mut ping = Message::Ping(7).encode(NETWORK);
        ping[16] = 9;
        peer.raw(&ping);
        peer.stay();
    });
    assert!(matches!(next(&events), Event::Ready(_)));
    assert!(matches!(next(&events), Event::Unreadable { command, .. } if command.name() == "tx"));
    assert!(matches!(next(&events), Event::NotFound { txs, blocks } if txs.len() == 1 && blocks.is_empty()));
    let end = next(&events);
    assert!(matches!(end, Event::Closed(Closed::Frame(FrameError::Oversized { found: 9, .. }))), "{end:?}");
}

#[test]
fn pings_are_answered_and_sent_often() {
    let (_client, events) = meet(|peer| {
        peer.introduce();
        let start = Instant::now();
        let mut pings = 0;
        peer.say(&Message::Ping(77));
        let (mut answered, mut last) = (false, None);
        while pings < 20 || !answered {
            match peer.hear().unwrap() {
                Message::Pong(77) => answered = true,
                Message::Ping(number) => {
                    assert!(last.is_none_or(|last| number > last));
                    last = Some(number);
                    pings += 1;
                    peer.say(&Message::Pong(number));
                }
                _ => {}
            }
        }
        // Every 5 ms: 20 of them are no burst, and no second apart either.
        assert!((Duration::from_millis(80)..Duration::from_secs(10)).contains(&start.elapsed()));
        peer.say(&Message::Headers(Vec::new()));
        peer.stay();
    });
    assert!(matches!(next(&events), Event::Ready(_)));
    let Event::Alive { round_trip } = next(&events) else { panic!("no answer came first") };
    assert!(round_trip < Duration::from_secs(10), "{round_trip:?}");
    loop {
        match next(&events) {
            Event::Headers(headers) => break assert!(headers.is_empty()),
            Event::Alive { .. } => {}
            event => panic!("{event:?}"),
        }
    }
}

#[test]
fn nothing_is_asked_of_a_node_that_is_not_there() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (client, events) = Client::start(settings(free.to_string())).unwrap();
    assert_eq!(client.tell(Request::Mempool), Err(RequestError::NotReady));
    let mut last = Instant::now();
    for _ in 0..8 {
        let arrived = events.recv_timeout(WITHIN).unwrap();
        assert!(matches!(arrived.event, Event::Closed(Closed::Connect { .. })));
        assert!(arrived.at.duration_since(last) < Duration::from_secs(5));
        last = arrived.at;
    }
    // Dropped, it ends its thread, and with it the events.
    drop(client);
    loop {
        match events.recv_timeout(WITHIN) {
            Ok(_) => {}
            Err(error) => break assert_eq!(error, RecvTimeoutError::Disconnected),
        }
    }
}

#[test]
fn a_client_ends_when_its_events_are_no_longer_wanted() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (client, events) = Client::start(settings(listener.local_addr().unwrap().to_string())).unwrap();
    let mut peer = Peer { socket: listener.accept().unwrap().0, bytes: Vec::new() };
    peer.introduce();
    assert!(matches!(next(&events), Event::Ready(_)));
    drop(events);
    peer.say(&Message::Headers(Vec::new()));
    peer.stay();
    drop(client);
}
