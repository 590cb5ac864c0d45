//! Links over real sockets: who gets in, who does not, and what both sides are told.

#![cfg(test)]

use std::{
    fs,
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use kuraban_base::hex;
use kuraban_link::{Connection, FRAME_LENGTH_MAX, Identity, Limits, LinkError, Listener, connect};

/// Far longer than anything here takes; a test that runs into it has failed.
const LONG: Duration = Duration::from_secs(20);
const LIMITS: Limits = Limits { handshakes_max: 8, per_peer_max: 8, handshake_time_max: LONG };

fn identity(seed: u8) -> Identity {
    Identity::from_seed(&[seed; 32])
}

fn public(seed: u8) -> [u8; 32] {
    identity(seed).public()
}

/// The machine with seed 1, which lets in the machines with these seeds.
fn listener(allowed: &[u8], limits: Limits) -> Listener {
    let allowed = allowed.iter().map(|seed| public(*seed)).collect();
    Listener::bind("127.0.0.1:0".parse().unwrap(), &identity(1), allowed, limits).unwrap()
}

fn call(to: &Listener, seed: u8) -> Result<Connection, LinkError> {
    connect(to.addr(), &identity(seed), &public(1), LONG)
}

fn pair() -> (Listener, Connection, Connection) {
    let listener = listener(&[2], LIMITS);
    let client = call(&listener, 2).unwrap();
    let (server, peer) = listener.accept().unwrap();
    assert_eq!((peer, client.peer()), (public(2), &public(1)));
    (listener, client, server)
}

#[test]
fn frames_of_every_size_arrive_as_they_were() {
    let (_listener, mut client, mut server) = pair();
    let echo = thread::spawn(move || {
        while let Ok(frame) = server.recv() {
            server.send(&frame).unwrap();
        }
    });
    for length in [0, 1, 4, 16_383, 16_384, 16_385, 65_536, 1_000_003, FRAME_LENGTH_MAX] {
        let frame: Vec<u8> = (0..=250_u8).cycle().take(length).collect();
        client.send(&frame).unwrap();
        let back = client.recv().unwrap();
        assert!(back == frame, "{length} bytes came back as {}", back.len());
    }
    let refused = client.send(&vec![0; FRAME_LENGTH_MAX + 1]).unwrap_err();
    assert_eq!(refused.to_string(), "a frame of 33554433 bytes, want at most 33554432");
    client.send(b"the link is as good as before").unwrap();
    assert_eq!(client.recv().unwrap(), b"the link is as good as before");
    drop(client);
    echo.join().unwrap();
}

#[test]
fn a_client_whose_key_is_not_pinned_is_refused_and_both_are_told() {
    let listener = listener(&[2, 3], LIMITS);
    let (own, two, three) = (hex::encode(&public(9)), hex::encode(&public(2)), hex::encode(&public(3)));
    let refused = call(&listener, 9).unwrap_err();
    assert_eq!(refused.to_string(), format!("the peer at {} refuses our key {own}", listener.addr()));
    let stranger = listener.accept().unwrap_err();
    assert_eq!(stranger.to_string(), format!("the peer's key is {own}, want one of {two}, {three}"));
    drop(call(&listener, 3).unwrap());
    assert_eq!(listener.accept().unwrap().1, public(3));
}

#[test]
fn a_server_whose_key_is_not_the_expected_one_is_refused() {
    let listener = listener(&[2], LIMITS);
    let impostor = connect(listener.addr(), &identity(2), &public(4), LONG).unwrap_err();
    let (found, want) = (hex::encode(&public(1)), hex::encode(&public(4)));
    assert_eq!(impostor.to_string(), format!("the peer's key is {found}, want {want}"));
    let refused = listener.accept().unwrap_err();
    // The client says why before it hangs up; what it did not read any more can make the system drop its last words.
    let told = matches!(&refused, LinkError::Refused { own, .. } if *own == found);
    assert!(told || matches!(refused, LinkError::Closed { .. }), "{refused}");
}

#[test]
fn bytes_that_are_not_tls_are_refused_and_the_next_peer_gets_in() {
    let listener = listener(&[2], LIMITS);
    for garbage in
        [b"GET / HTTP/1.1\r\nHost: signer\r\n\r\n".as_slice(), &[0; 64], &[0x16, 3, 1, 0xff, 0xff, 0, 0]]
    {
        let mut plain = TcpStream::connect(listener.addr()).unwrap();
        plain.write_all(garbage).unwrap();
        let problem = listener.accept().unwrap_err();
        assert!(matches!(problem, LinkError::Tls { .. }), "{problem:?}");
    }
    drop(TcpStream::connect(listener.addr()).unwrap());
    let problem = listener.accept().unwrap_err();
    assert!(matches!(problem, LinkError::Closed { .. }), "{problem:?}");
    drop(call(&listener, 2).unwrap());
    assert_eq!(listener.accept().unwrap().1, public(2));
}

#[test]
fn a_server_that_does_not_speak_tls_is_refused() {
    let plain = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = plain.local_addr().unwrap();
    let answering = thread::spawn(move || {
        let (mut socket, _) = plain.accept().unwrap();
        socket.write_all(b"220 mail ready\r\n").unwrap();
        // Until the client has gone, so that it reads the greeting and not a reset.
        let mut rest = Vec::new();
        socket.read_to_end(&mut rest).unwrap();
    });
    let problem = connect(addr, &identity(2), &public(1), LONG).unwrap_err();
    assert!(matches!(problem, LinkError::Tls { .. }), "{problem:?}");
    answering.join().unwrap();
}

#[test]
fn nobody_there_is_told_with_the_address() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let problem = connect(free, &identity(2), &public(1), LONG).unwrap_err();
    assert_eq!(problem.to_string(), format!("cannot connect to {free}"));
}

#[test]
fn a_server_that_says_nothing_is_given_up_in_time() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = silent.local_addr().unwrap();
    let problem = connect(addr, &identity(2), &public(1), Duration::from_millis(50)).unwrap_err();
    assert_eq!(problem.to_string(), format!("the handshake with {addr} took longer than 50 ms"));
}

/// Sends the first bytes of a real handshake record one by one, each well within any single read's patience.
fn trickle(to: SocketAddr) -> thread::JoinHandle<usize> {
    let mut socket = TcpStream::connect(to).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
    thread::spawn(move || {
        let begun = Instant::now();
        let hello = [0x16, 3, 1, 0x40, 0].into_iter().chain([1, 0, 0x3f, 0xfc, 3, 3]).chain([0; 16_000]);
        for (sent, byte) in hello.enumerate() {
            let ended = match socket.write_all(&[byte]).and_then(|()| socket.read(&mut [0; 64])) {
                Ok(got) => got == 0,
                Err(problem) => !matches!(problem.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
            };
            if ended || begun.elapsed() > LONG {
                return sent;
            }
        }
        usize::MAX
    })
}

#[test]
fn a_peer_that_trickles_its_handshake_is_cut_off_and_holds_up_nobody() {
    let limits = Limits { handshake_time_max: Duration::from_millis(500), ..LIMITS };
    let listener = listener(&[2], limits);
    let begun = Instant::now();
    let slow = trickle(listener.addr());
    let quick = call(&listener, 2).unwrap();
    assert_eq!(listener.accept().unwrap().1, public(2));
    let quick_took = begun.elapsed();
    let problem = listener.accept().unwrap_err();
    let took = begun.elapsed();
    assert!(problem.to_string().ends_with("took longer than 500 ms"), "{problem}");
    assert!(matches!(problem, LinkError::Timeout { what: "the handshake", .. }), "{problem:?}");
    assert!(took >= Duration::from_millis(500) && took < LONG / 2, "{took:?}");
    assert!(quick_took < took, "the quick peer took {quick_took:?}, the slow one {took:?}");
    let sent = slow.join().unwrap();
    assert!((2..10_000).contains(&sent), "{sent} bytes were sent before the end");
    drop(quick);
}

#[test]
fn one_handshake_too_many_is_turned_away_and_room_is_made_again() {
    let limits = Limits { handshakes_max: 2, ..LIMITS };
    let listener = listener(&[2], limits);
    let waiting =
        [TcpStream::connect(listener.addr()).unwrap(), TcpStream::connect(listener.addr()).unwrap()];
    let mut third = TcpStream::connect(listener.addr()).unwrap();
    let addr = third.local_addr().unwrap();
    let problem = listener.accept().unwrap_err();
    assert_eq!(problem.to_string(), format!("2 handshakes are under way, so {addr} was turned away"));
    assert_eq!(third.read(&mut [0]).unwrap(), 0);
    drop(waiting);
    for _ in 0..2 {
        let problem = listener.accept().unwrap_err();
        assert!(matches!(problem, LinkError::Closed { .. }), "{problem:?}");
    }
    // The slot is free a moment after its outcome is told.
    let begun = Instant::now();
    let client = loop {
        match call(&listener, 2) {
            Ok(client) => break client,
            Err(problem) => assert!(begun.elapsed() < LONG, "{problem}"),
        }
    };
    drop(client);
}

#[test]
fn a_peer_with_too_many_connections_loses_its_oldest_and_nobody_else_loses_any() {
    let listener = listener(&[2, 3], Limits { per_peer_max: 2, ..LIMITS });
    let accept = |seed| {
        let client = call(&listener, seed).unwrap();
        (client, listener.accept().unwrap().0)
    };
    let (mut other, mut other_server) = accept(3);
    let (mut first, mut first_server) = accept(2);
    let (mut second, mut second_server) = accept(2);
    let (mut third, mut third_server) = accept(2);
    assert!(matches!(first_server.recv(), Err(LinkError::Closed { .. })));
    assert!(first.recv().is_err());
    for (client, server) in
        [(&mut other, &mut other_server), (&mut second, &mut second_server), (&mut third, &mut third_server)]
    {
        client.send(b"still here").unwrap();
        assert_eq!(server.recv().unwrap(), b"still here");
    }
    // A connection that ended makes room: no other is lost for the next.
    drop((third, third_server));
    let (_fourth, _fourth_server) = accept(2);
    second.send(b"still here").unwrap();
    assert_eq!(second_server.recv().unwrap(), b"still here");
}

#[test]
fn waiting_in_vain_leaves_the_link_good() {
    let (_listener, mut client, mut server) = pair();
    client.set_timeout(Some(Duration::from_millis(20)));
    let problem = client.recv().unwrap_err();
    let want = format!("waiting for a frame with {} took longer than 20 ms", client.addr());
    assert_eq!(problem.to_string(), want);
    server.send(b"late").unwrap();
    client.set_timeout(Some(LONG));
    assert_eq!(client.recv().unwrap(), b"late");
}

#[test]
fn a_peer_that_reads_nothing_cannot_hold_a_sender() {
    let (_listener, mut client, _server) = pair();
    client.set_timeout(Some(Duration::from_millis(200)));
    let frame = vec![0; FRAME_LENGTH_MAX];
    let problem = client.send(&frame).unwrap_err();
    assert!(matches!(problem, LinkError::Timeout { what: "sending a frame", .. }), "{problem:?}");
    assert!(matches!(client.send(&[]), Err(LinkError::Broken { .. })));
}

#[test]
fn parting_is_told_from_being_cut_off_inside_a_frame() {
    let (_listener, client, mut server) = pair();
    drop(client);
    assert!(matches!(server.recv(), Err(LinkError::Closed { .. })));
}

#[test]
fn a_listener_that_is_dropped_frees_its_address_and_keeps_open_connections() {
    let (listener, mut client, mut server) = pair();
    let addr = listener.addr();
    drop(listener);
    client.send(b"still here").unwrap();
    assert_eq!(server.recv().unwrap(), b"still here");
    let begun = Instant::now();
    // The accepting thread closes the socket as soon as it runs.
    while connect(addr, &identity(2), &public(1), LONG).is_ok() {
        assert!(begun.elapsed() < LONG);
    }
}

#[test]
fn an_address_that_is_taken_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap();
    let problem = Listener::bind(addr, &identity(1), Vec::new(), LIMITS).unwrap_err();
    assert_eq!(problem.to_string(), format!("cannot listen on {addr}"));
}

/// What GnuTLS, a TLS implementation that shares no code with ours, reads and is told when it connects with the
/// raw key of `seed` to a listener that allows seed 2. Nothing where Debian's `gnutls-bin` is not installed.
fn gnutls(seed: u8) -> Option<Output> {
    let listener = listener(&[2], LIMITS);
    let addr = listener.addr();
    let folder = std::env::temp_dir().join(format!("kuraban-link-{}-{seed}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let (secret, shown) = (folder.join("secret.der"), folder.join("shown.der"));
    // RFC 8410 §7 and §4: an Ed25519 seed as PKCS #8, a public key as SubjectPublicKeyInfo.
    fs::write(&secret, [&hex::decode("302e020100300506032b657004220420").unwrap()[..], &[seed; 32]].concat())
        .unwrap();
    fs::write(&shown, [&hex::decode("302a300506032b6570032100").unwrap()[..], &public(seed)].concat())
        .unwrap();
    let started = Command::new("gnutls-cli")
        .args(["--priority=NORMAL:-VERS-ALL:+VERS-TLS1.3:-CTYPE-ALL:+CTYPE-CLI-RAWPK:+CTYPE-SRV-RAWPK"])
        .args(["--x509fmtder", "--no-ca-verification", "--insecure"])
        .arg(format!("--rawpkkeyfile={}", secret.display()))
        .arg(format!("--rawpkfile={}", shown.display()))
        .args(["--port", &addr.port().to_string(), "127.0.0.1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let output = match started {
        Ok(mut client) => {
            let mut to_client = client.stdin.take().unwrap();
            // Refused clients are gone before they read it.
            to_client.write_all(b"\0\0\0\x05hello").unwrap_or_default();
            let waiting = thread::spawn(move || {
                let output = client.wait_with_output().unwrap();
                // Should it have left without a word, the listener still has somebody to tell of.
                drop(TcpStream::connect(addr));
                output
            });
            if let Ok((mut server, _)) = listener.accept() {
                server.set_timeout(Some(LONG));
                assert_eq!(server.recv().unwrap(), b"hello");
                server.send(b"good day").unwrap();
            }
            drop(to_client);
            Some(waiting.join().unwrap())
        }
        Err(problem) => {
            assert_eq!(problem.kind(), ErrorKind::NotFound, "{problem}");
            None
        }
    };
    fs::remove_dir_all(&folder).unwrap();
    output
}

#[test]
fn another_implementation_gets_in_with_a_pinned_key_only() {
    let (Some(pinned), Some(stranger)) = (gnutls(2), gnutls(9)) else {
        return println!("skipped: gnutls-cli (Debian package gnutls-bin) is not installed");
    };
    let said = String::from_utf8_lossy(&pinned.stdout);
    assert!(said.contains("\0\0\0\0\0\0\0\x08good day"), "{said}{}", String::from_utf8_lossy(&pinned.stderr));
    let said = [stranger.stdout, stranger.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(!stranger.status.success() && !said.contains("good day"), "{said}");
}
