//! Who a Redis is and who we are to it: certificates, passwords, what our account may do.

use std::{fs, net::TcpListener, path::Path, time::Duration};

use portcullis::{
    domain::Timestamp,
    store::{self, ACCOUNT_NEEDS, RedisTls, RedisUse, Revocation, StoreError, Stores},
};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

use super::{
    jti, keys, live,
    nodes::{Node, until},
    user, wait,
};

/// Somebody who vouches for others.
struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, PEM.
struct Identity {
    certificate: String,
    key: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn pem(&self) -> Vec<u8> {
        self.0.pem().into_bytes()
    }

    fn vouches(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        // Of one name with its authority it would seem to vouch for itself.
        params.distinguished_name.push(DnType::CommonName, "somebody");
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap().pem();
        Identity { certificate, key: key.serialize_pem() }
    }
}

impl Identity {
    fn shown(&self) -> (Vec<u8>, zeroize::Zeroizing<Vec<u8>>) {
        (self.certificate.clone().into_bytes(), zeroize::Zeroizing::new(self.key.clone().into_bytes()))
    }
}

/// A server that speaks TLS too, on a port of its own.
struct Sealed {
    node: Node,
    port: u16,
    _files: tempfile::TempDir,
}

fn sealed(identity: &Identity, authority: &Authority, lines: &str, how: &[&str]) -> Sealed {
    let files = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &[u8]| {
        let path = files.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let certificate = put("tls.crt", identity.certificate.as_bytes());
    let key = put("tls.key", identity.key.as_bytes());
    let ca = put("ca.crt", &authority.pem());
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let tls =
        format!("tls-port {port}\ntls-cert-file {certificate}\ntls-key-file {key}\ntls-ca-cert-file {ca}");
    Sealed { node: Node::start(&format!("{lines}\n{tls}"), how), port, _files: files }
}

fn trusting(ca: Option<Vec<u8>>, client: Option<&Identity>) -> RedisUse {
    let tls = RedisTls { ca, client: client.map(Identity::shown) };
    // A handshake on a busy machine takes its time.
    RedisUse { tls, timeout: Duration::from_secs(2), ..RedisUse::default() }
}

/// Everything that a server does with a store, in short.
fn works(stores: &Stores, what: &str) {
    let now = Timestamp::now();
    let revocation = Revocation { at: now, until: now.plus(Duration::from_secs(60)), ..jti("a", 0, 0) };
    wait(stores.users.put(&user("ann"))).unwrap();
    wait(stores.revocations.revoke(&revocation)).unwrap();
    assert_eq!(live(stores, 0).len(), 1, "{what}");
    let (digest, key) = keys::minted();
    wait(stores.keys.insert(&digest, &key)).unwrap();
    let uses = vec![store::KeyUse { id: key.id, count: 1, last_used: now }];
    wait(stores.keys.add_uses(&store::UseBatch { writer: uuid::Uuid::now_v7(), number: 1, uses })).unwrap();
    wait(stores.quota.save(Vec::new(), now)).unwrap();
    wait(stores.rings.secret("x")).unwrap();
    wait(stores.leases.as_ref().unwrap().beat(uuid::Uuid::now_v7())).unwrap();
    assert_eq!(stores.feed.watch(0).poll().unwrap().len(), 2, "{what}");
    wait(stores.revocations.forget_ended(now.plus(Duration::from_secs(120)))).unwrap();
    let adoption = stores.adoption.as_ref().unwrap();
    assert!(!wait(adoption.stands_in_for("x")).unwrap());
    wait(adoption.survey()).unwrap();
    // Behind sentinels a node without replicas has lost them.
    assert_eq!(stores.unconfirmed.so_far() > 0, what.contains("sentinel"), "{what}");
}

#[test]
fn a_private_authority_and_a_client_certificate_hold_on_every_topology() {
    let authority = Authority::new();
    let server = authority.vouches(&["localhost", "127.0.0.1"], |_| {});
    let client = authority.vouches(&["gate"], |_| {});
    let plain = "save \"\"\ntls-auth-clients yes";
    let one = sealed(&server, &authority, plain, &[]);
    let cluster = sealed(&server, &authority, &format!("{plain}\ncluster-enabled yes\ntls-cluster yes"), &[]);
    assert_eq!(cluster.node.ask("CLUSTER ADDSLOTSRANGE 0 16383").as_deref(), Some("+OK"));
    until(|| cluster.node.ask("CLUSTER INFO").is_some_and(|info| info.contains("cluster_state:ok")));
    let watched = sealed(&server, &authority, plain, &[]);
    let monitor = format!("tls-replication yes\nsentinel monitor main 127.0.0.1 {} 1", watched.port);
    let sentinel = sealed(&server, &authority, &monitor, &["--sentinel"]);
    for url in [
        format!("rediss://localhost:{}", one.port),
        format!("rediss+cluster://localhost:{}", cluster.port),
        format!("rediss+sentinel://localhost:{}/main", sentinel.port),
    ] {
        let known = trusting(Some(authority.pem()), Some(&client));
        works(&store::open_shared(&url, &known).unwrap_or_else(|e| panic!("{url}: {e}")), &url);
        let nobody = trusting(Some(authority.pem()), None);
        assert!(store::open_shared(&url, &nobody).is_err(), "{url}: who shows no certificate");
        let stranger = Authority::new().vouches(&["gate"], |_| {});
        let stranger = trusting(Some(authority.pem()), Some(&stranger));
        assert!(store::open_shared(&url, &stranger).is_err(), "{url}: who shows somebody else's");
        let doubtful = trusting(Some(Authority::new().pem()), Some(&client));
        assert!(store::open_shared(&url, &doubtful).is_err(), "{url}: for which somebody else vouches");
    }
}

#[test]
fn a_redis_that_does_not_prove_who_it_is_is_sent_no_password() {
    let authority = Authority::new();
    let good = authority.vouches(&["localhost"], |_| {});
    let expired = authority.vouches(&["localhost"], |params| {
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    });
    let elsewhere = authority.vouches(&["redis.example"], |_| {});
    let foreign = Authority::new().vouches(&["localhost"], |_| {});
    let how = trusting(Some(authority.pem()), None);
    for (what, identity, is_good) in [
        ("a good one", &good, true),
        ("an expired certificate", &expired, false),
        ("one of another name", &elsewhere, false),
        ("one of another authority", &foreign, false),
    ] {
        let server = sealed(identity, &authority, "save \"\"\ntls-auth-clients no\nrequirepass hunter2", &[]);
        let url = format!("rediss://:hunter2@localhost:{}", server.port);
        match store::open_shared(&url, &how) {
            Ok(_) => assert!(is_good, "{what}"),
            Err(refused) => {
                let text = refused.to_string();
                assert!(
                    !is_good && text.contains("store.ca_file") && !text.contains("hunter"),
                    "{what}: {text}"
                );
            }
        }
    }
    // Somebody between us who speaks no TLS.
    let plain = Node::start("save \"\"", &[]);
    plain.ask("CONFIG RESETSTAT");
    let refused =
        store::open_shared(&format!("rediss://:hunter2@localhost:{}", plain.port), &how).unwrap_err();
    assert!(matches!(&refused, StoreError::Unavailable(text) if !text.contains("hunter")), "{refused}");
    let commands = plain.ask("INFO commandstats").unwrap();
    assert!(!commands.contains("cmdstat_auth") && !commands.contains("cmdstat_hello"), "{commands}");
}

#[test]
fn what_our_account_is_said_to_need_is_enough_and_what_it_lacks_is_said() {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let in_table = ACCOUNT_NEEDS.replace('|', "\\|");
    assert!(readme.contains(&in_table), "README.md does not say `{in_table}`");

    let account =
        format!("save \"\"\nuser gate on >hush {ACCOUNT_NEEDS}\nuser poor on >hush ~* +@connection +ping");
    let one = Node::start(&account, &[]);
    let cluster = Node::start(&format!("{account}\ncluster-enabled yes"), &[]);
    assert_eq!(cluster.ask("CLUSTER ADDSLOTSRANGE 0 16383").as_deref(), Some("+OK"));
    until(|| cluster.ask("CLUSTER INFO").is_some_and(|info| info.contains("cluster_state:ok")));
    let watched = Node::start(&account, &[]);
    let monitor = format!("sentinel monitor main 127.0.0.1 {} 1", watched.port);
    let sentinel = Node::start(&monitor, &["--sentinel"]);
    for (scheme, port, path) in [
        ("redis", one.port, ""),
        ("redis+cluster", cluster.port, ""),
        ("redis+sentinel", sentinel.port, "/main"),
    ] {
        let url = |user: &str, password: &str| format!("{scheme}://{user}:{password}@127.0.0.1:{port}{path}");
        works(&store::open(&url("gate", "hush")).unwrap(), scheme);
        for (user, password) in [("gate", "hunter3"), ("nobody", "hunter3"), ("poor", "hush")] {
            let refused = store::open(&url(user, password)).unwrap_err().to_string();
            let is_clear = refused.contains(ACCOUNT_NEEDS) || scheme == "redis+cluster";
            assert!(is_clear && !refused.contains("hunter"), "{scheme}, {user}: {refused}");
        }
    }
    let locked = Node::start("save \"\"\nrequirepass hush", &[]);
    let refused = store::open(&format!("redis://127.0.0.1:{}", locked.port)).unwrap_err().to_string();
    assert!(refused.contains("NOAUTH") && refused.contains(ACCOUNT_NEEDS), "{refused}");
}
