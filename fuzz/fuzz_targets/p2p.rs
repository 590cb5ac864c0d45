//! Any bytes as what a peer sends: no panic, and every message is read back from its own payload.
#![no_main]

use kuraban_chain::btc::{
    Network,
    p2p::{Frame, Message},
};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    for network in Network::ALL {
        let Ok(Some(frame)) = Frame::split(network, bytes) else { continue };
        assert!(frame.length <= bytes.len());
        let Ok(message) = frame.message(network) else { continue };
        if !matches!(message, Message::Unknown { .. }) {
            assert_eq!(Message::decode(network, frame.command, &message.payload()), Ok(message));
        }
    }
});
