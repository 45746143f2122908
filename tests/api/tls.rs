//! The main listener over TLS, with a certificate of an authority that only the client knows.

use std::{
    fs,
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use portcullis::{app::AppError, settings::Settings};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
    pki_types::CertificateDer,
};

use super::support::{
    app::{TestApp, refusal, settings, without_limits},
    http::Connection,
    output,
    rpc::Rpc,
};

/// An authority, and what it has certified.
struct Authority {
    root: CertificateDer<'static>,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { root: issuer.der().clone(), issuer }
    }

    /// Writes a certificate for `localhost` and its key; gives them to the settings.
    fn certify(&self, settings: &mut Settings, dir: &Path) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = key.serialize_pem();
        output::secret(key.lines().nth(1).unwrap());
        let (certificate_file, key_file) = (dir.join("tls.crt"), dir.join("tls.key"));
        fs::write(&certificate_file, certificate.pem()).unwrap();
        fs::write(&key_file, key).unwrap();
        settings.server.tls.certificate = Some(certificate_file);
        settings.server.tls.private_key = Some(key_file);
    }
}

/// A connection over TLS.
fn speak(
    address: SocketAddr,
    root: &CertificateDer<'static>,
    versions: &[&'static SupportedProtocolVersion],
) -> StreamOwned<ClientConnection, TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(root.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let client = ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
    let socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket.set_write_timeout(Some(Duration::from_secs(30))).unwrap();
    StreamOwned::new(client, socket)
}

/// Sends `rpc` over TLS and reads everything until the server closes.
fn send(
    address: SocketAddr,
    root: &CertificateDer<'static>,
    versions: &[&'static SupportedProtocolVersion],
    rpc: &Rpc,
) -> std::io::Result<String> {
    let mut stream = speak(address, root, versions);
    stream.write_all(&rpc.clone().header("connection", "close").bytes())?;
    let mut answer = String::new();
    match stream.read_to_string(&mut answer) {
        // The whole answer is there; how politely the connection ends is another matter.
        Err(error) if answer.is_empty() => Err(error),
        _ => Ok(answer),
    }
}

const BOTH: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS12, &rustls::version::TLS13];

#[test]
fn calls_work_over_tls_1_2_and_1_3_and_nothing_speaks_in_the_clear() {
    let (authority, files) = (Authority::new(), tempfile::tempdir().unwrap());
    let app = TestApp::start_with(|settings| authority.certify(settings, files.path()));
    let rpc = Rpc::weather().bearer(&app.token("ada", "user"));
    for version in BOTH {
        let answer = send(app.main, &authority.root, &[version], &rpc).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert!(answer.contains("\"structuredContent\""), "{answer}");
        assert!(answer.contains("strict-transport-security: max-age="), "{answer}");
    }
    let mut clear = Connection::open(app.main);
    clear.try_send(rpc.bytes());
    assert!(!clear.rest().starts_with(b"HTTP/"));
    let run: serde_json::Value =
        serde_json::from_slice(&fs::read(app.dir().join("run.json")).unwrap()).unwrap();
    assert!(run["mcp_url"].as_str().unwrap().starts_with("https://"));
}

#[test]
fn a_client_that_trusts_another_authority_does_not_get_as_far_as_to_speak() {
    let (authority, files) = (Authority::new(), tempfile::tempdir().unwrap());
    let app = TestApp::start_with(|settings| authority.certify(settings, files.path()));
    let rpc = Rpc::weather().bearer(&app.token("ada", "user"));
    assert!(send(app.main, &Authority::new().root, &BOTH, &rpc).is_err());
    send(app.main, &authority.root, &BOTH, &rpc).unwrap();
}

/// Starts with a certificate and key that `spoil` has had its hands on; it must not.
fn refused_when(spoil: impl FnOnce(&mut Settings, &Path)) -> String {
    let (home, files) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut settings = settings(home.path());
    Authority::new().certify(&mut settings, files.path());
    spoil(&mut settings, files.path());
    let refused = refusal(&settings, Vec::new());
    assert!(matches!(&refused, AppError::Setting { key, .. } if key.starts_with("server.tls")), "{refused}");
    refused.to_string()
}

#[test]
fn a_key_that_is_not_the_certificates_refuses_the_start() {
    let other = tempfile::tempdir().unwrap();
    let said = refused_when(|settings, _| {
        let certificate = settings.server.tls.certificate.take();
        Authority::new().certify(settings, other.path());
        settings.server.tls.certificate = certificate;
    });
    assert!(said.contains("tls.key"), "{said}");
}

#[test]
fn files_that_are_no_pem_or_not_there_refuse_the_start_and_are_named() {
    let said = refused_when(|_, dir| fs::write(dir.join("tls.crt"), "garbage").unwrap());
    assert!(said.contains("tls.crt"), "{said}");
    let said = refused_when(|_, dir| fs::write(dir.join("tls.key"), "garbage").unwrap());
    assert!(said.contains("tls.key") && !said.contains("garbage"), "{said}");
    let said = refused_when(|_, dir| fs::remove_file(dir.join("tls.key")).unwrap());
    assert!(said.contains("tls.key"), "{said}");
}

#[test]
fn whoever_takes_no_answer_over_tls_is_ended_too() {
    let (authority, files) = (Authority::new(), tempfile::tempdir().unwrap());
    let app = TestApp::start_with(|settings| {
        without_limits(settings);
        authority.certify(settings, files.path());
    });
    let mut stream = speak(app.main, &authority.root, &BOTH);
    let request = "GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(1_000);
    let began = Instant::now();
    // Far more answers than the system holds; then it takes no more requests either, until it ends.
    let ended = loop {
        assert!(began.elapsed() < Duration::from_secs(60), "it is borne for ever");
        match stream.write_all(request.as_bytes()) {
            Ok(()) => {}
            Err(error) => break error,
        }
    };
    assert!(
        matches!(ended.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe),
        "the server ends it, and it is not this test that gives up: {ended}"
    );
    send(app.main, &authority.root, &BOTH, &Rpc::weather().bearer(&app.token("ada", "user"))).unwrap();
}
