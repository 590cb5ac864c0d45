//! The handshake's rules: TLS 1.3, raw Ed25519 keys on both sides, and only pinned ones.

use std::sync::Arc;

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, PeerMisbehaved,
    ServerConfig, SignatureScheme,
    client::{
        AlwaysResolvesClientRawPublicKeys, Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring, verify_tls13_signature_with_raw_key},
    pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime},
    server::{
        AlwaysResolvesServerRawPublicKeys, NoServerSessionStorage,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    version::TLS13,
};

use crate::{
    error::WrongKey,
    identity::{Identity, key_of},
};

/// The rules for the side that listens.
pub(crate) fn server(identity: &Identity, allowed: Vec<[u8; 32]>) -> Result<ServerConfig, Error> {
    let provider = Arc::new(ring::default_provider());
    let pinned = Arc::new(Pinned { keys: allowed, provider: Arc::clone(&provider) });
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(pinned)
        .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(identity.certified())));
    // A resumed session would skip the keys, so none is ever offered.
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(config)
}

/// The rules for the side that connects.
pub(crate) fn client(identity: &Identity, expected: &[u8; 32]) -> Result<ClientConfig, Error> {
    let provider = Arc::new(ring::default_provider());
    let pinned = Arc::new(Pinned { keys: vec![*expected], provider: Arc::clone(&provider) });
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(pinned)
        .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(identity.certified())));
    config.resumption = Resumption::disabled();
    config.enable_sni = false;
    Ok(config)
}

/// The keys that a peer may show.
#[derive(Debug)]
struct Pinned {
    keys: Vec<[u8; 32]>,
    provider: Arc<CryptoProvider>,
}

impl Pinned {
    fn verify(&self, shown: &CertificateDer<'_>) -> Result<(), Error> {
        let found = key_of(shown).ok_or(CertificateError::BadEncoding)?;
        if self.keys.contains(&found) {
            Ok(())
        } else {
            Err(WrongKey { found, wanted: self.keys.clone() }.into())
        }
    }

    /// That the peer holds the secret half of the key that it showed.
    fn verify_possession(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = SubjectPublicKeyInfoDer::from(shown.as_ref());
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature_with_raw_key(message, &key, signature, algorithms)
    }
}

/// TLS 1.2 is not compiled in; should it ever be, its handshakes fail here.
fn only_tls13() -> Error {
    Error::PeerMisbehaved(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme)
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.verify(end_entity).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(only_tls13())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify_possession(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for Pinned {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.verify(end_entity).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(only_tls13())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify_possession(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use rustls::{ClientConnection, ServerConnection, sign::CertifiedKey};

    use super::*;

    fn identity(seed: u8) -> Identity {
        Identity::from_seed(&[seed; 32])
    }

    /// Passes bytes between the two until both are done or one gives up; what each says in the end.
    fn shake(client: ClientConfig, server: ServerConfig) -> (Result<(), Error>, Result<(), Error>) {
        let name = ServerName::try_from("any.example").unwrap();
        let mut client = ClientConnection::new(Arc::new(client), name).unwrap();
        let mut server = ServerConnection::new(Arc::new(server)).unwrap();
        let (mut of_client, mut of_server) = (Ok(()), Ok(()));
        for _ in 0..8 {
            let mut bytes = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut bytes).unwrap();
            }
            server.read_tls(&mut bytes.as_slice()).unwrap();
            of_server = of_server.and(server.process_new_packets().map(drop));
            let mut bytes = Vec::new();
            while server.wants_write() {
                server.write_tls(&mut bytes).unwrap();
            }
            client.read_tls(&mut bytes.as_slice()).unwrap();
            of_client = of_client.and(client.process_new_packets().map(drop));
        }
        let done = |still: bool| if still { Err(Error::HandshakeNotComplete) } else { Ok(()) };
        (of_client.and(done(client.is_handshaking())), of_server.and(done(server.is_handshaking())))
    }

    fn rules(allowed: &[u8]) -> ServerConfig {
        server(&identity(1), allowed.iter().map(|seed| identity(*seed).public()).collect()).unwrap()
    }

    fn client_with(config: impl FnOnce(&mut ClientConfig)) -> ClientConfig {
        let mut client = client(&identity(2), &identity(1).public()).unwrap();
        config(&mut client);
        client
    }

    #[test]
    fn pinned_keys_on_both_sides_shake_hands() {
        assert_eq!(shake(client_with(|_| {}), rules(&[2, 3])), (Ok(()), Ok(())));
    }

    #[test]
    fn a_peer_without_the_secret_half_is_refused() {
        let shown = CertificateDer::from(crate::identity::spki(&identity(2).public()).to_vec());
        let other = Arc::clone(&identity(3).certified().key);
        let thief = Arc::new(CertifiedKey::new(vec![shown], other));
        let client = client_with(|config| {
            config.client_auth_cert_resolver =
                Arc::new(AlwaysResolvesClientRawPublicKeys::new(Arc::clone(&thief)));
        });
        let (_, server) = shake(client, rules(&[2, 3]));
        assert_eq!(server, Err(CertificateError::BadSignature.into()));

        let shown = CertificateDer::from(crate::identity::spki(&identity(1).public()).to_vec());
        let thief = Arc::new(CertifiedKey::new(vec![shown], Arc::clone(&identity(3).certified().key)));
        let mut impostor = rules(&[2]);
        impostor.cert_resolver = Arc::new(AlwaysResolvesServerRawPublicKeys::new(thief));
        let (client, _) = shake(client_with(|_| {}), impostor);
        assert_eq!(client, Err(CertificateError::BadSignature.into()));
    }

    #[test]
    fn a_client_that_shows_nothing_is_refused() {
        let provider = Arc::new(ring::default_provider());
        let keys = vec![identity(1).public()];
        let pinned = Arc::new(Pinned { keys, provider: Arc::clone(&provider) });
        let client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(pinned)
            .with_no_client_auth();
        let (_, server) = shake(client, rules(&[2]));
        assert!(server.is_err(), "{server:?}");
    }

    #[test]
    fn nobody_allowed_means_nobody_enters() {
        let (_, server) = shake(client_with(|_| {}), rules(&[]));
        assert!(matches!(server, Err(Error::InvalidCertificate(CertificateError::Other(_)))), "{server:?}");
    }

    #[test]
    fn a_key_in_any_other_form_is_refused() {
        // X25519 instead of Ed25519: the last arc of the object identifier (RFC 8410 §3).
        let mut shown = crate::identity::spki(&identity(2).public()).to_vec();
        shown[8] = 0x6e;
        let key = Arc::clone(&identity(2).certified().key);
        let odd = Arc::new(CertifiedKey::new(vec![CertificateDer::from(shown)], key));
        let client = client_with(|config| {
            config.client_auth_cert_resolver = Arc::new(AlwaysResolvesClientRawPublicKeys::new(odd));
        });
        let (_, server) = shake(client, rules(&[2]));
        assert_eq!(server, Err(CertificateError::BadEncoding.into()));
    }
}
